"""The same loops with another project's mock as the models: aimock plays Chat, Responses and Messages.

Neither side of the gateway is ours here. The mock is told the play beforehand, as fixtures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.conftest import NODE_MODULES
from tests.e2e.conftest import launch
from tests.e2e.mixed.plays.conftest import Play, config
from tests.e2e.mixed.plays.loops.conftest import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from tests.e2e.conftest import Gateway
    from tests.e2e.mixed.plays.loops.conftest import Connect

    Json = dict[str, Any]

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("node", "aimock")]

ADDRESS = re.compile(rb"listening on (http://127\.0\.0\.1:\d+)")
PLAYS = 1


def plays() -> list[Play]:
    """Return plays without the numbers that JavaScript does not have."""
    every = (Play(seed, thinks=False, long_names=False) for seed in itertools.count())
    return list(itertools.islice((play for play in every if "12345678901234567890" not in str(play.script)), PLAYS))


def fixtures(play: Play) -> list[Json]:
    """Return what aimock says in a play: which act it is, it knows by the id of the last call that has a result."""
    found: list[Json] = []
    known: Json = {"hasToolResult": False}
    for number, act in enumerate(play.acts):
        calls = [
            {"id": f"call_{play.seed}_{number}_{index}", "name": one.name, "arguments": arguments or "{}"}
            for index, (one, arguments) in enumerate(act.calls)
        ]
        said: Json = {"content": act.text} | ({"toolCalls": calls} if calls else {})
        found.append({"match": {"userMessage": play.prompt, **known}, "response": said})
        known = {"toolCallId": calls[-1]["id"]} if calls else {}
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway to an aimock."""
    folder = tmp_path_factory.mktemp("aimock")
    script = folder / "fixtures.json"
    script.write_text(json.dumps({"fixtures": [fixture for play in plays() for fixture in fixtures(play)]}))
    program = NODE_MODULES / "@copilotkit" / "aimock" / "dist" / "cli.js"
    mock = await asyncio.create_subprocess_exec(
        *("node", str(program), "--port", "0", "--fixtures", str(script), "--strict", "--chunk-size", "7"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert mock.stdout is not None
        async with asyncio.timeout(20):
            said = b""
            while (address := ADDRESS.search(said)) is None:
                line = await mock.stdout.readline()
                assert line, f"aimock ended instead of listening: {said.decode()}"
                said += line
        gateway = await launch(config(address[1].decode()), folder)
        yield gateway
        await gateway.stop()
    finally:
        mock.terminate()
        await mock.communicate()


@pytest.mark.parametrize(
    "stream", [pytest.param(False, marks=pytest.mark.matrix, id="plain"), pytest.param(True, id="stream")]
)
@pytest.mark.parametrize("model", ["chat", "responses", "messages"])
@pytest.mark.parametrize("client", PROGRAMS)
async def test_a_loop_with_aimock(client: str, model: str, stream: bool, gateway: Gateway, connect: Connect) -> None:
    sdk = await connect(client, gateway.url)
    programs = [PROGRAMS[client](play, sdk, f"only/{model}", stream=stream) for play in plays()]
    await asyncio.gather(*(program.run() for program in programs))
    for program in programs:
        assert program.errors == []
        assert program.play.runs == program.play.script
        assert program.said == [act.text for act in program.play.acts]
