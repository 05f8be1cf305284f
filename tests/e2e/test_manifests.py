"""Wrong manifests are refused by `kubectl apply`, with words that name the field and the rule."""

import pytest

from tests.support.e2e import Object, World
from tests.support.wrong_manifests import WRONG_ACCOUNTS, WRONG_CHANGES, WRONG_SPECS, WrongManifest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_wrong_manifest_is_refused_at_apply(world: World) -> None:
    wrong = [
        w for w in (*WRONG_SPECS, *WRONG_ACCOUNTS) if w.manifest["metadata"]["name"] == "wrong"
    ]
    assert len(wrong) >= 10
    await _all_refused(world, wrong)


async def test_each_forbidden_change_is_refused_at_apply(world: World) -> None:
    befores = [_named(n, w.before) for n, w in enumerate(WRONG_CHANGES) if w.before]
    assert len(befores) == len(WRONG_CHANGES)
    for before in befores:
        before["spec"]["suspend"] = True
    await world.kubectl("apply", "--filename=-", given=befores)
    try:
        await _all_refused(world, list(WRONG_CHANGES))
    finally:
        names = [before["metadata"]["name"] for before in befores]
        await world.kubectl("delete", "sds", *names, "--timeout=30s")


async def _all_refused(world: World, wrong: list[WrongManifest]) -> None:
    said = await world.kubectl.run(
        "apply", "--filename=-", given=[_named(n, w.manifest) for n, w in enumerate(wrong)]
    )
    assert said.code == 1
    assert said.out == ""
    blocks = _blocks(said.err)
    for number, each in enumerate(wrong):
        told = [b for b in blocks if f'"wrong-{number}"' in b]
        assert told, f"{each.name}: nothing said in {said.err}"
        assert any(each.message in b and each.field in b for b in told), (each.name, told)


def _named(number: int, manifest: Object) -> Object:
    return {**manifest, "metadata": {**manifest["metadata"], "name": f"wrong-{number}"}}


def _blocks(text: str) -> list[str]:
    """Return what kubectl says about one object each: lines that begin with a star go on."""
    blocks: list[str] = []
    for line in text.splitlines():
        if blocks and line.startswith(("*", " ")):
            blocks[-1] += f"\n{line}"
        else:
            blocks.append(line)
    return blocks
