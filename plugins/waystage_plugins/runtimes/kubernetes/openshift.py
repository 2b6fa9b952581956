"""The online runtime `openshift.tfserving`: model servers on OpenShift, reached by a Route."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Difference,
    Handle,
    JsonObject,
    Observation,
    Phase,
    Services,
)
from waystage_plugins.images.login import LentRegistry, Registry
from waystage_plugins.runtimes.kubernetes import routing, sharing
from waystage_plugins.runtimes.kubernetes.api import Api, failure
from waystage_plugins.runtimes.kubernetes.cluster import LABEL
from waystage_plugins.runtimes.kubernetes.foreign import shares
from waystage_plugins.runtimes.kubernetes.kinds import IMAGE_STREAM, ROUTE, Kind
from waystage_plugins.runtimes.kubernetes.manifests import Plan
from waystage_plugins.runtimes.kubernetes.names import shared_name
from waystage_plugins.runtimes.kubernetes.serving import ClusterServing

Thing = dict[str, Any]
LONGEST_LABEL = 63  # of one part of a host's name


class OpenShiftServing(ClusterServing):
    """Serve an image with TensorFlow Serving on OpenShift or OKD.

        - use: openshift.tfserving
          with:
            api: "https://api.okd.example:6443"
            token: {secret: env/OKD_TOKEN}
            project: models-prod
            service_account: waystage
            registry:
              host: default-route-openshift-image-registry.okd.example
              project: models-prod
            registry_account: true
            pull_registry: image-registry.openshift-image-registry.svc:5000

    As `kubernetes.tfserving`, and a Route whose weights can split requests between champion and
    challenger, an ImageStream that keeps the image from being pruned, and a look at the Project.
    Pods run under `restricted-v2`. Requests of probes take the Route when it leads here alone.
    With `registry_account` steps of the stage that push or look at images log in to `registry`
    with the account's tokens, as OpenShift's own registry takes them.
    """

    use: ClassVar[str] = "openshift.tfserving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"grpc", "logs", "rest", "split", "switch"})

    project: str = Field(pattern=LABEL)
    registry_account: bool = Field(
        default=False, description="log in to registry: with the tokens of service_account:"
    )
    create_project: bool = Field(default=False, description="ask for the project if it is missing")
    domain: str = Field(
        default="", pattern=r"^([a-z0-9]([a-z0-9.-]{0,180}[a-z0-9])?)?$",
        description="of hosts of Routes; default: the router's own",
    )  # fmt: skip
    tls: Literal["edge", "none"] = Field(default="edge", description="where TLS ends")
    reach: Literal["route", "port_forward"] = Field(
        default="route", description="how probes get to the pods"
    )

    @property
    def place(self) -> str:
        """The namespace."""
        return self.project

    @model_validator(mode="after")
    def _account_of_registry(self) -> OpenShiftServing:
        if not self.registry_account:
            return self
        if self.registry is None or not self.service_account:
            raise ValueError("registry_account: needs registry: and service_account:")
        if self.registry.user is not None:
            raise ValueError("registry_account: goes without user and token of registry:")
        return self

    @property
    def logged_in(self) -> Registry | None:
        """The registry, with the account's token where that is wanted."""
        if self.registry is None or not self.registry_account:
            return self.registry

        def lend(ctx: Services) -> tuple[str, str]:
            # the registry looks at the token alone
            return self.service_account, self.account_token(ctx, self.place)

        return LentRegistry(**dict(self.registry), lend=lend)

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        host = f"{shared_name(spec.service, spec.stage)}-{self.project}"  # as the router names it
        if self.domain or len(host) <= LONGEST_LABEL:
            return super().check(spec)
        told = (
            f"the Route's host would begin with {host}, which has more than {LONGEST_LABEL} "
            f"characters; say domain:, or take shorter names"
        )
        return [*super().check(spec), told]

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Send this share of the service's requests here, the others to the champion."""
        ref = handle.ref
        with self.connected(ctx, self._namespace(handle)) as api:
            if percent == 100:
                self._point(api, ref)
                return
            champion = sharing.target(api, str(ref["shared"]))
            if not champion or champion == ref["name"]:
                raise Hopeless(f"{ref['name']} has no champion beside it to share requests with")
            self._apply(api, ROUTE, self._route(ref, champion, str(ref["name"]), percent))

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs; what its Route does not lead to yet is not ready."""
        # the Route first: one that is taken in meanwhile has its address in what is seen then
        with self.connected(ctx, self._namespace(handle)) as api:
            live = api.get(ROUTE, str(handle.ref["shared"]))
        seen = super().observe(ctx, handle)
        if seen.phase != "ready":
            return seen
        if live is None or handle.ref["name"] not in routing.targets(live) or routing.url(live):
            return seen
        why = routing.not_taken(live)
        told = f"no router has taken the Route in: {why}" if why else "the Route is new"
        phase: Phase = "failed" if why else "pending"
        update = {"phase": phase, "reason": "route", "message": " ".join(told.split())[:500]}
        return seen.model_copy(update=update)

    def _prepare(self, api: Api) -> None:
        path = f"/apis/project.openshift.io/v1/projects/{self.project}"
        reply = api.ask(path)
        status, told = reply.status, reply.body
        if status == 200:
            phase = (told.get("status") or {}).get("phase")
            if phase != "Active":
                raise Retryable(f"project {self.project} is {phase}")
            return
        if status in (401, 429) or status >= 500:  # nothing is said of the project
            raise failure(reply, "get", "projects", self.project, self.project)
        if status not in (403, 404) or not self.create_project:
            # who has no right in a project is told nothing else of one that is not there
            maybe = "there is none, or this account may not see it: " if status == 403 else ""
            raise Hopeless(f"project {self.project}: {maybe}{told.get('message') or status}")
        reply = api.ask(
            "/apis/project.openshift.io/v1/projectrequests",
            {
                "apiVersion": "project.openshift.io/v1",
                "kind": "ProjectRequest",
                "metadata": {"name": self.project},
            },
        )
        if reply.status >= 300 and reply.status != 409:
            why = reply.body.get("message") or reply.status
            raise Hopeless(f"project {self.project} is not given: {why}")
        api.is_new = True

    def _objects(self, plan: Plan) -> list[tuple[Kind, Thing]]:
        return [(IMAGE_STREAM, routing.image_stream(plan)), *super()._objects(plan)]

    def _kinds(self) -> list[Kind]:
        return [IMAGE_STREAM, *super()._kinds()]

    def _route(self, ref: JsonObject, main: str, beside: str = "", percent: int = 0) -> Thing:
        host = f"{ref['shared']}.{self.domain}" if self.domain else ""
        return routing.route(
            str(ref["shared"]), sharing.shared_labels(ref), routing.weights(main, beside, percent),
            host=host, tls=self.tls == "edge",
        )  # fmt: skip

    def _led_elsewhere(self, api: Api, ref: JsonObject) -> tuple[Difference, ...]:
        live = api.get(ROUTE, str(ref["shared"]))
        return super()._led_elsewhere(api, ref) or shares(
            live, str(ref["shared"]), routing.shares_of(live)
        )

    def _lead_back(self, ctx: Context, api: Api, ref: JsonObject) -> None:
        """Lead the requests here again, but for the shares that challengers were given."""
        super()._point(api, ref)
        rows = ctx.placements(stage=str(ref["stage"]), role="challenger")
        given = [row.deployed for row in rows if row.deployed.percent]
        beside, percent = "", 0
        if given:  # the newest; a Route that leads to what is gone skips it
            beside, percent = str(given[0].handle.get("name", "")), given[0].percent or 0
        self._apply(api, ROUTE, self._route(ref, str(ref["name"]), beside, percent))

    def _point(self, api: Api, ref: JsonObject) -> None:
        super()._point(api, ref)
        self._apply(api, ROUTE, self._route(ref, str(ref["name"])))

    def _leave(self, api: Api, ref: JsonObject) -> None:
        super()._leave(api, ref)
        shared, name = str(ref["shared"]), str(ref["name"])
        champion = sharing.target(api, shared)
        if not champion:
            self._remove(api, ROUTE, shared)
        elif name in routing.shares_of(api.get(ROUTE, shared)):
            # never leave a Route that leads to what is about to go
            self._apply(api, ROUTE, self._route(ref, champion))

    def _address(self, api: Api, ref: JsonObject) -> str:
        live = api.get(ROUTE, str(ref["shared"]))
        if ref["name"] in routing.targets(live) and (url := routing.url(live)):
            return url
        return super()._address(api, ref)

    def _direct(self, api: Api, ref: JsonObject) -> str:
        live = api.get(ROUTE, str(ref["shared"])) if self.reach == "route" else None
        # while the Route splits, another snapshot may answer
        return routing.url(live) if routing.targets(live) == {ref["name"]} else ""
