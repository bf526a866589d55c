"""Ways between replicas, and to their store, that can be cut."""

from __future__ import annotations

import asyncio
from typing import Any

from .replicas import Replicas
from .store import Redis
from .tap import Tap

ANY = "127.0.0.1:0"


class Relay(Tap):
    """A way that can be cut: nothing gets through then, and what was on its way is lost."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, keeps=False)
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        self.is_cut = False

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
        else:
            await super()._connected(reader, writer)


class Islands(Replicas):
    """Replicas with a store. Each reaches each other one, and the store, by a way of its own, so that one can be cut off."""

    def __init__(self, backend: str, redis: Redis, **changes: Any) -> None:
        changes["replicas"] = {"address": ANY, **changes.get("replicas", {})}
        super().__init__(backend, listen={"address": ANY}, **changes)
        self._backend, self._changes = backend, {**changes, "listen": {"address": ANY}}
        # Where they lead is known when the replicas run.
        self._ways = {(one, other): Relay("") for one in self.names for other in self.names if one != other}
        self._to_store = {name: Relay(f"127.0.0.1:{redis.port}") for name in self.names}

    async def __aenter__(self) -> Islands:
        for relay in self._relays():
            await relay.__aenter__()
        for name in self.names:
            peers = {other: f"http://{way.address}" for (one, other), way in self._ways.items() if one == name}
            store = {"url": f"redis://{self._to_store[name].address}"}
            replicas = {**self._changes["replicas"], "peers": peers}
            self.texts[name] = self._text(name, self._backend, {**self._changes, "replicas": replicas, "store": store})
        await super().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await super().__aexit__(*exception)
        for relay in self._relays():
            await relay.__aexit__()

    async def start(self, name: str) -> None:
        await super().start(name)
        running = self.running[name]
        self.fronts[name] = running.address
        address = (await running.process.event("peers_listening"))["address"]
        for (_, other), way in self._ways.items():
            if other == name:
                way.upstream = address

    def _relays(self) -> list[Relay]:
        return [*self._ways.values(), *self._to_store.values()]

    def cut_off(self, name: str, *, peers: bool = True, store: bool = False) -> None:
        """From and to the other replicas, and from the store. Clients and the server are reached."""
        for ends, way in self._ways.items():
            if peers and name in ends:
                way.cut()
        if store:
            self._to_store[name].cut()

    def mend(self) -> None:
        for relay in self._relays():
            relay.mend()
