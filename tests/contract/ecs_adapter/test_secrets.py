"""A password meets refused connections, lost and broken answers, and shows up nowhere."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from sysdisk.ecs.calls import replace_system_disk
from sysdisk.ecs.errors import EcsError
from sysdisk.ecs.scrub import Scrubber
from tests.contract.ecs_adapter.conftest import Site, answering
from tests.contract.ecs_adapter.test_requests_on_the_wire import BARE

PASSWORD = "Pa%55&wo+rd/1"


def refused(site: Site) -> None:
    site.server.cloud.faults.error(
        "ReplaceSystemDisk", "InvalidPassword", http=400, message=f"Bad password: {PASSWORD}"
    )


TROUBLES = {
    "none": lambda site: None,
    "refused with the password in the message": refused,
    "lost before": lambda site: site.server.cloud.faults.drop("ReplaceSystemDisk", "before"),
    "lost after": lambda site: site.server.cloud.faults.drop("ReplaceSystemDisk", "after"),
    "html": lambda site: site.server.cloud.faults.garble("ReplaceSystemDisk", "html-502"),
    "half": lambda site: site.server.cloud.faults.garble("ReplaceSystemDisk", "half-json"),
    "dark": None,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("debug", ["", "sdk"])
async def test_the_password_is_in_no_exception_and_no_log(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    debug: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DEBUG", debug)
    params = replace_system_disk(
        BARE.replace(image_id=site.newer.id, size=40),
        instance_id=site.vm.id,
        client_token="tok",
        password=PASSWORD,
    )
    transport = site.transport()
    put = TROUBLES[trouble]
    if put is None:
        await site.server.go_dark()
    else:
        put(site)
    (error,) = await asyncio.gather(
        transport.call("ReplaceSystemDisk", params), return_exceptions=True
    )
    said = ""
    if trouble == "none":
        assert not isinstance(error, BaseException)
    else:
        assert isinstance(error, EcsError)
        assert error.__cause__ is error.__context__ is None
        said = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    said += caplog.text + repr([vars(r) for r in caplog.records]) + "".join(capfd.readouterr())
    watch = Scrubber()
    watch.add(PASSWORD, site.key.secret)
    assert not watch.knows(said)
    assert "Signature=" not in said


async def test_the_log_does_show_requests_without_their_parameters(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await site.transport().call("DescribeDisks", {"RegionId": "cn-hangzhou"})
    assert "urllib3" in {record.name.split(".")[0] for record in caplog.records}
    assert "RegionId" not in caplog.text


async def test_a_header_that_cannot_be_read_shows_no_password_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    end = b"\r\nContent-Length: 2\r\n\r\n{}"
    async with answering(lambda path: b"HTTP/1.1 200 OK\r\nno colon " + path + end) as url:
        await site.transport(url=url).call("ReplaceSystemDisk", {"Password": PASSWORD})
    assert "Failed to parse headers" in caplog.text
    watch = Scrubber()
    watch.add(PASSWORD)
    assert not watch.knows(caplog.text + repr([vars(r) for r in caplog.records]))
