"""Each kind of waiting and refusal still comes about as the gallery shows it."""

import pytest

from sysdisk.sandbox.stage import EMBEDDED
from tests.e2e import gallery

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_scene_of_the_gallery_comes_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert await gallery.main([], EMBEDDED) == 0, capsys.readouterr().out
