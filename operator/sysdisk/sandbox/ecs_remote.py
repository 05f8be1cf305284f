"""The control API of the simulator, `/_control/...`: tests and demos move the world with it.

Every verb is `POST /_control/<verb>` with a JSON object, and answers a JSON object; a wrong one is
400 with `{"error": ...}`. Only JSON bodies are taken, so that no web page can post here unasked.
What changes nothing is also `GET /_control/<verb>?field=value`, indented, for a person with curl.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sysdisk.sandbox.ecs_fleet import Fleet, seed_fleet
from sysdisk.sandbox.ecs_model import DEFAULT_ACCOUNT, Cloud
from sysdisk.sandbox.ecs_outside import Outside
from sysdisk.sandbox.ecs_views import locks_of

if TYPE_CHECKING:
    from sysdisk.sandbox.ecs_server import EcsServer

__all__ = ["Remote"]

Body = dict[str, Any]
_ADDABLE = (
    *("region", "account", "access_key", "role", "key_pair", "kms_key", "image", "instance"),
    *("snapshot", "spare_disk"),
)
_READS = ("effects", "images", "instances", "locks", "requests", "state")
_CHANGES = tuple(name for name in vars(Outside) if not name.startswith("_"))


class Remote:
    """The verbs, over the server's cloud."""

    def __init__(self, server: EcsServer) -> None:
        self._server = server
        self._verbs: dict[str, Callable[[Body], Any]] = {
            "seed": self._seed,
            "add": self._add,
            "change": self._change,
            "inject": self._inject,
            "drop": lambda b: self._cloud.faults.drop(**b),
            "garble": lambda b: self._cloud.faults.garble(**b),
            "delay": lambda b: self._cloud.faults.delay(**b),
            "throttle": lambda b: self._cloud.faults.throttle(**b),
            "clear-faults": lambda b: self._cloud.faults.clear(**b),
            "freeze": lambda b: self._cloud.outside.freeze(**b),
            "thaw": lambda b: self._cloud.outside.thaw(**b),
            "locks": self._locks,
            "effects": self._effects,
            "requests": self._requests,
            "state": self._state,
            "instances": self._instances,
            "images": self._images,
            "reset": self._reset,
        }

    @property
    def _cloud(self) -> Cloud:
        return self._server.cloud

    def routes(self, app: web.Application) -> None:
        """Add the control API to an application."""
        app.router.add_post("/_control/{verb}", self._handle)
        app.router.add_get("/_control/{verb}", self._read)

    async def _handle(self, http: web.Request) -> web.Response:
        if http.match_info["verb"] not in self._verbs:
            return _answer({"error": f"no such verb; one of {list(self._verbs)}"}, 404)
        if http.content_type != "application/json":
            return _answer({"error": "send application/json"}, 415)
        try:
            body = json.loads(await http.read() or b"{}")
        except ValueError as error:
            return _answer({"error": f"not JSON: {error}"}, 400)
        return self._perform(http.match_info["verb"], body)

    async def _read(self, http: web.Request) -> web.Response:
        verb = http.match_info["verb"]
        if verb not in _READS:
            status, text = (405, "POST it") if verb in self._verbs else (404, "no such verb")
            return _answer({"error": f"{text}; to read there are {list(_READS)}"}, status)
        body: Body = dict(http.query)
        if body.get("since", "").isdecimal():
            body["since"] = int(body["since"])
        return self._perform(verb, body)

    def _perform(self, verb: str, body: Body) -> web.Response:
        try:
            self._cloud.settle()
            result = self._verbs[verb](body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _answer({"error": f"{type(error).__name__}: {error}"}, 400)
        return _answer({"result": plain(result)})

    def _seed(self, body: Body) -> Body:
        made = seed_fleet(self._cloud, **body)
        return {
            "instances": [vm.id for vm in made.instances],
            "images": {name: image.id for name, image in made.images.items()},
            "access_key_id": made.key.id,
            "access_key_secret": made.key.secret,
            "key_pair": made.key_pair,
            "policy": made.policy,
        }

    def _add(self, body: Body) -> Any:
        kind = body.pop("kind")
        if kind not in _ADDABLE:
            raise ValueError(f"kind is one of {', '.join(_ADDABLE)}")
        fleet = Fleet(
            self._cloud, body.pop("home", "cn-hangzhou"), body.pop("owner", DEFAULT_ACCOUNT)
        )
        if kind == "instance":
            image = self._cloud.state.images[body.pop("image_id")]
            return fleet.instance(image, **body)
        return getattr(fleet, kind)(**body)

    def _change(self, body: Body) -> Any:
        name = body.pop("what")
        if name not in _CHANGES:
            raise ValueError(f"what is one of {', '.join(_CHANGES)}")
        return getattr(self._cloud.outside, name)(**body)

    def _inject(self, body: Body) -> Any:
        return self._cloud.faults.error(**body)

    def _locks(self, body: Body) -> Any:
        return [asdict(k) for k in locks_of(self._cloud, self._cloud.look(body["instance_id"]))]

    def _effects(self, body: Body) -> Any:
        kinds, instance_id = body.get("kind", ""), body.get("instance_id", "")
        found = self._cloud.effects_of(kinds, instance_id) if kinds else self._cloud.effects
        return [e for e in found if instance_id in ("", e.instance_id)][body.get("since", 0) :]

    def _requests(self, body: Body) -> Any:
        return self._cloud.requests_of(body.get("action", ""))[body.get("since", 0) :]

    def _state(self, body: Body) -> Body:
        cloud = self._cloud
        if instance_id := body.get("instance_id"):
            vm = cloud.look(instance_id)
            return {"instance": vm, "system_disk": cloud.system_disk(vm)}
        counts: dict[str, int] = {}
        for vm in cloud.state.instances.values():
            counts[vm.status] = counts.get(vm.status, 0) + 1
        return {
            "now": cloud.now(),
            "regions": list(cloud.state.regions),
            "instances": counts,
            "effects": len(cloud.state.effects),
            "requests": len(cloud.state.requests),
            "waiting_faults": cloud.faults.rules,
        }

    def _instances(self, body: Body) -> list[Body]:
        cloud = self._cloud
        images = cloud.state.images
        return [
            {
                "id": vm.id,
                "name": vm.name,
                "status": vm.status,
                "type": vm.type,
                "image": images[vm.image_id].name if vm.image_id in images else vm.image_id,
                "disk": vm.system_disk_id,
            }
            for vm in cloud.state.instances.values()
        ]

    def _images(self, body: Body) -> list[Body]:
        return [
            {
                "id": image.id,
                "name": image.name,
                "family": image.family,
                "platform": image.platform,
                "architecture": image.architecture,
                "size": image.size_gib,
                "status": image.status,
            }
            for image in self._cloud.state.images.values()
        ]

    def _reset(self, body: Body) -> None:
        """Empty the logs and the faults; with `world` also everything that exists."""
        old = self._cloud
        if body.get("world"):
            self._server.cloud = Cloud(old.now, old.timings, old.seed, wall=old.wall)
            return
        old.faults.clear()
        old.state.effects.clear()
        old.state.requests.clear()


def _answer(content: Body, status: int = 200) -> web.Response:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return web.json_response(text=text, status=status)


def plain(value: Any) -> Any:
    """Return dataclasses, tuples and mappings as JSON knows them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {k: plain(v) for k, v in asdict(value).items()}
    if isinstance(value, Mapping):
        return {
            k if isinstance(k, str) else "/".join(map(str, k)): plain(v) for k, v in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    return value
