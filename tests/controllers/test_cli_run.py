"""The command line: flags, variables, exit codes, signals; and what logging writes."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from typer.testing import CliRunner

import sysdisk.cli.run
from sysdisk import logs
from sysdisk.api.account import ECS_ACTIONS
from sysdisk.cli.main import app
from sysdisk.cli.ram_policy import READS, WRITES
from sysdisk.ecs.scrub import Scrubber, ScrubbingFilter
from sysdisk.settings import Address, LogFormat, LogLevel, RunSettings
from tests.support.command import COMMAND, environment
from tests.support.kube_shell import Api, eventually, serving_api

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[RunSettings]:
    """The settings that `run` would have begun with."""
    found: list[RunSettings] = []

    def keep(settings: RunSettings) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(sysdisk.cli.run, "_serve", keep)
    return found


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving_api(tmp_path) as api:
        yield api


def test_without_flags_run_has_the_documented_defaults(given: list[RunSettings]) -> None:
    assert CliRunner().invoke(app, ["run"]).exit_code == 0
    assert given == [RunSettings()]


FULL = RunSettings(
    kubeconfig="/k",
    namespaces=("a", "b"),
    listen=Address("0.0.0.0", 9),
    log_format=LogFormat.JSON,
    log_level=LogLevel.DEBUG,
    poll_interval=timedelta(seconds=1),
    resync_interval=timedelta(minutes=90),
    threads=3,
    leader_elect=True,
    account_secret_namespaces=("s", "t"),
    dry_run=True,
)


def test_every_setting_is_a_flag(given: list[RunSettings]) -> None:
    flags = (
        "--kubeconfig /k --namespace a --namespace b --listen :9 --log-format json "
        "--log-level debug --poll-interval 1s --resync-interval 1h30m --threads 3 --leader-elect "
        "--account-secret-namespaces s,t --dry-run"
    )
    result = CliRunner().invoke(app, ["run", *flags.split()])
    assert result.exit_code == 0, result.output
    assert given == [FULL]


def test_every_setting_is_a_variable(given: list[RunSettings]) -> None:
    variables = {
        "SYSDISK_KUBECONFIG": "/k",
        "SYSDISK_NAMESPACE": "a,b",
        "SYSDISK_LISTEN": ":9",
        "SYSDISK_LOG_FORMAT": "json",
        "SYSDISK_LOG_LEVEL": "debug",
        "SYSDISK_POLL_INTERVAL": "1s",
        "SYSDISK_RESYNC_INTERVAL": "1h30m",
        "SYSDISK_THREADS": "3",
        "SYSDISK_LEADER_ELECT": "true",
        "SYSDISK_ACCOUNT_SECRET_NAMESPACES": "s t",
        "SYSDISK_DRY_RUN": "1",
    }
    result = CliRunner().invoke(app, ["run"], env=variables)
    assert result.exit_code == 0, result.output
    assert given == [FULL]


@pytest.mark.parametrize(
    "wrong",
    [
        "--listen 8080",
        "--poll-interval 5",
        "--poll-interval 0s",
        "--resync-interval -1s",
        "--threads 0",
        "--log-level loud",
        "--no-such-flag",
    ],
)
def test_wrong_usage_is_2_and_named(wrong: str, given: list[RunSettings]) -> None:
    result = CliRunner().invoke(app, ["run", *wrong.split()])
    assert result.exit_code == 2
    assert wrong.split()[0] in re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    assert result.stdout == ""
    assert given == []


def test_the_crds_are_printed_as_one_stream() -> None:
    printed = CliRunner().invoke(app, ["crd"]).stdout
    kinds = [each["spec"]["names"]["kind"] for each in yaml.safe_load_all(printed)]
    assert kinds == ["SystemDiskSpec", "EcsAccount"]
    as_json = json.loads(CliRunner().invoke(app, ["crd", "-o", "json"]).stdout)
    assert [each["kind"] for each in as_json["items"]] == ["CustomResourceDefinition"] * 2


def test_a_variable_for_other_commands_does_not_break_the_crds() -> None:
    plain = CliRunner().invoke(app, ["crd"]).stdout
    result = CliRunner().invoke(app, ["crd"], env={"SYSDISK_OUTPUT": "table"})
    assert (result.exit_code, result.stdout) == (0, plain)
    assert CliRunner().invoke(app, ["crd", "-o", "table"]).exit_code == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("--region", "not a region"),
        ("--region", ""),
        ("--account-id", "foo"),
        ("--assume-role", "bar"),
        ("--assume-role", "acs:ram::123:user/me"),
    ],
)
def test_a_ram_policy_is_not_made_of_nonsense(wrong: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, ["ram-policy", *wrong])
    assert (result.exit_code, result.stdout) == (2, "")
    assert wrong[0] in re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)


def test_a_ram_policy_names_the_region_the_account_and_the_role() -> None:
    role = "acs:ram::1234567890123456:role/sysdisk-operator"
    given = ("--region", "cn-hangzhou", "--account-id", "1234567890123456", "--assume-role", role)
    policy = json.loads(CliRunner().invoke(app, ["ram-policy", *given]).stdout)
    resources = {each["Action"][0][:4]: each["Resource"] for each in policy["Statement"]}
    assert resources == {"ecs:": ["acs:ecs:cn-hangzhou:1234567890123456:*"], "sts:": [role]}


def test_the_ram_policy_allows_exactly_the_actions_that_the_adapter_calls() -> None:
    verbs = "Describe|Replace|Start|Stop|Create|Apply"
    sources = (ROOT / "operator" / "sysdisk" / "ecs").glob("*.py")
    called = {
        f"ecs:{action}"
        for source in sources
        for action in re.findall(rf'"((?:{verbs})[A-Z][A-Za-z]+)"', source.read_text())
    }
    assert called == {*READS, *WRITES} == {f"ecs:{action}" for action in ECS_ACTIONS}
    policy = json.loads(CliRunner().invoke(app, ["ram-policy"]).stdout)
    allowed = {action for each in policy["Statement"] for action in each["Action"]}
    assert allowed == called
    reading = json.loads(CliRunner().invoke(app, ["ram-policy", "--read-only"]).stdout)
    assert {a for each in reading["Statement"] for a in each["Action"]} == set(READS)


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_version_names_all_parts(output: str) -> None:
    text = CliRunner().invoke(app, ["version", "--output", output]).stdout
    assert all(part in text for part in ("sysdisk", "kopf", "kubernetes client", "ECS SDK"))


def test_help_does_not_wait_for_kopf_or_the_ecs_sdk() -> None:
    code = (
        "import sys, sysdisk.cli.main; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "{'kopf', 'kubernetes', 'aiohttp', 'Tea', 'darabonba', 'alibabacloud_ecs20140526'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_operator_in_order_with_0(
    api: Api, tmp_path: Path, sent: signal.Signals
) -> None:
    await api.spec("web-1")
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "run", "--listen", "127.0.0.1:0", "--log-format", "json", "--leader-elect"],
            env=environment(SYSDISK_KUBECONFIG=str(api.kubeconfig)),
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        await eventually(lambda: '"synced"' in said.read_text() or process.poll() is not None)
        process.send_signal(sent)
        await eventually(lambda: process.poll() is not None)
    finally:
        process.kill()
        stdout, _ = process.communicate()
    assert process.returncode == 0, said.read_text()
    assert stdout == b""
    messages = [json.loads(line)["message"] for line in said.read_text().splitlines()]
    assert "lease released" in messages
    assert messages[-1] == "stopped"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_is_loaded_ends_it_with_0(sent: signal.Signals) -> None:
    code = f"""
import os, signal, sys

class Loading:
    def find_spec(self, name, path=None, target=None):
        if name == "kopf":
            os.kill(os.getpid(), {int(sent)})

sys.meta_path.insert(0, Loading())
sys.argv = ["sysdisk", "run", "--kubeconfig", "/nowhere"]
from sysdisk.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment())
    assert (done.returncode, done.stderr) == (0, b"")


async def test_no_kubeconfig_is_1_with_a_reason_on_stderr(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "run", "--kubeconfig", str(tmp_path / "none")],
        capture_output=True,
        env=environment(),
    )
    assert done.returncode == 1
    assert f"file does not exist: {tmp_path / 'none'}".encode() in done.stderr
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    for name in logs._QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("log_format", LogFormat)
def test_a_secret_is_masked_in_message_fields_and_traceback(log_format: LogFormat) -> None:
    scrubber = Scrubber()
    scrubber.add("pa%ss&wo+rd")
    out = io.StringIO()
    logs.configure(log_format, LogLevel.DEBUG, ScrubbingFilter(scrubber), stream=out)
    try:
        raise RuntimeError("url?Password=pa%25ss%26wo%2Brd")
    except RuntimeError:
        logging.getLogger("x").exception("got pa%ss&wo+rd", extra={"error": "pa%ss&wo+rd"})
    text = out.getvalue()
    assert "RuntimeError" in text
    assert "pa%" not in text


@pytest.mark.usefixtures("restored_logging")
def test_a_json_line_holds_the_facts_and_a_text_from_outside_forges_no_second_line() -> None:
    out = io.StringIO()
    logs.configure(LogFormat.JSON, LogLevel.INFO, stream=out)
    logging.getLogger("x").info("pass\nfailed", extra={"key": "a/b", "time": 5, "nothing": None})
    [line] = out.getvalue().splitlines()
    fields = json.loads(line)
    assert (fields["message"], fields["key"], fields["time_"]) == ("pass\\nfailed", "a/b", 5)
    assert (fields["level"], "nothing" in fields) == ("info", False)


@pytest.mark.usefixtures("restored_logging")
def test_a_text_line_quotes_what_has_spaces() -> None:
    out = io.StringIO()
    logs.configure(LogFormat.TEXT, LogLevel.INFO, stream=out)
    logging.getLogger("x").info("pass failed", extra={"key": "a/b", "error": 'no "answer"\nfake'})
    [line] = out.getvalue().splitlines()
    assert line.endswith('INFO x: pass failed key=a/b error="no \\"answer\\"\\nfake"')


@pytest.mark.usefixtures("restored_logging")
def test_libraries_do_not_log_their_requests_even_at_debug() -> None:
    out = io.StringIO()
    logs.configure(LogFormat.TEXT, LogLevel.DEBUG, stream=out)
    for name in ("kopf.objects", "urllib3.connectionpool", "aiohttp.access", "asyncio"):
        logging.getLogger(name).info("chatter")
    assert out.getvalue() == ""
