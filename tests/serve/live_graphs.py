"""A live graph without Ray: the owner's own class called in this process, and a copy that follows it by hand."""

from __future__ import annotations

from raykg.kg.linking import Linker
from raykg.kg.live.follower import Follower
from raykg.kg.live.opening import base_opener
from raykg.serve.following import STATUSES
from raykg.serve.graph_owner import GraphOwner
from raykg.serve.refusal import Refused


class LocalGraph:
    """What routes need of a graph that can be edited."""

    def __init__(self, storage, base, functional=()):
        self.owner = GraphOwner(str(storage), str(base.root.parent.parent), base.version, tuple(functional))
        self.follower = Follower(self.owner._live.bootstrap(), base_opener(base))
        self.store = str(base.root)
        self.reached = []
        self.states = {self.version: self.current()}

    @property
    def version(self):
        return self.follower.view().version

    def current(self):
        return self.follower.view(), self.follower.linker()

    async def reach(self, version):
        self.reached.append(version)
        for record in self.owner._live.changes(self.follower.sequence):
            self.follower.apply([record])
            self.states[self.version] = self.current()

    async def at(self, version):
        await self.reach(version)
        return self.states[version]

    async def call(self, name, arguments):
        done = await self.owner.call(name, arguments)
        if "refused" in done:
            code = done["refused"]["code"]
            raise Refused(STATUSES.get(code, 400), done["refused"]["message"], code=code)
        return done["result"], done["version"]


class Fixed:
    """A graph that nobody can edit."""

    def __init__(self, base):
        self.graph, self.linker, self.store, self.version = base, Linker(base), str(base.root), base.version

    def current(self):
        return self.graph, self.linker

    async def reach(self, version):
        return None
