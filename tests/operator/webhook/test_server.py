"""The webhook over real TLS: what it answers, what it refuses to read, and how it stops."""

import asyncio
import base64
import io
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jsonpatch
import pytest

from featward_operator.certificates.authority import make_authority
from featward_operator.errors import OperatorError
from featward_operator.webhook.review import MOST_BYTES
from featward_operator.webhook.server import WebhookServer
from webhook_kit import Webhook, review_of, running_webhook

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "generateName": "feast-",
        "labels": {"featward.dev/inject": "server"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "feast-7d", "controller": True}],
    },
    "spec": {"serviceAccountName": "feast", "containers": [{"name": "feast"}]},
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    async with running_webhook() as running:
        yield running


@pytest.fixture
async def client(webhook: Webhook) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=webhook.trust())
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def ask(
    client: aiohttp.ClientSession, webhook: Webhook, body: bytes, **headers: str
) -> tuple[int, Any]:
    async with client.post(webhook.url, data=io.BytesIO(body), headers=JSON | headers) as response:
        text = await response.text()
        return response.status, json.loads(text) if response.status == 200 else text


async def test_a_pod_is_answered_with_its_patch(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    status, answer = await ask(client, webhook, review_of(POD))
    response = answer["response"]
    assert status == 200
    assert answer["apiVersion"] == "admission.k8s.io/v1"
    assert response["uid"] == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert response["allowed"]
    assert response["patchType"] == "JSONPatch"
    after = jsonpatch.apply_patch(POD, json.loads(base64.b64decode(response["patch"])))
    assert after["spec"]["initContainers"][0]["name"] == "featward-sidecar"
    assert after["metadata"]["labels"]["featward.dev/server"] == "feast"


async def test_a_refused_pod_is_told_everything(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    told = {"featward.dev/port": "1", "featward.dev/plain": "perhaps"}
    pod = POD | {"metadata": POD["metadata"] | {"annotations": told}}
    _, answer = await ask(client, webhook, review_of(pod))
    response = answer["response"]
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    assert "pod ml/feast-* of ReplicaSet feast-7d for 2 reasons" in response["status"]["message"]
    assert "patch" not in response


async def test_a_hundred_thousand_errors_are_not_all_told(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    """Each once took a look through all that is known, on the loop that everything else is on."""
    told = {f"featward.dev/x{number}": "v" * 3_000 for number in range(500)}
    pod = POD | {"metadata": POD["metadata"] | {"annotations": told}}
    _, answer = await ask(client, webhook, review_of(pod))
    message = answer["response"]["status"]["message"]
    assert "484 more annotations of featward.dev/ are there that nothing reads" in message
    assert len(message) < 12_000


async def test_an_unknown_namespace_is_a_matter_of_time(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    _, answer = await ask(client, webhook, review_of(POD, "new"))
    assert answer["response"]["status"]["code"] == 503


async def test_a_wrong_content_type_is_415_and_an_empty_body_400(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    wrong = {"Content-Type": "application/yaml"}
    assert (await ask(client, webhook, review_of(POD), **wrong))[0] == 415
    assert await ask(client, webhook, b"") == (
        400,
        "the body is empty: expected an AdmissionReview",
    )
    typed = {"Content-Type": "application/json; charset=utf-8"}
    assert (await ask(client, webhook, review_of(POD), **typed))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}',
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": null}',
        review_of(POD, uid=None),
        review_of(POD, operation="UPDATE"),
        review_of(POD, kind={"group": "apps", "version": "v1", "kind": "Deployment"}),
        review_of(POD, object=None),
        review_of({"metadata": {}}),
        review_of(POD, ""),
        review_of(POD, ".."),
        review_of(POD, "a/b"),
        review_of(POD, "n" * 64),
    ],
)
async def test_what_is_no_question_about_a_pod_is_400_and_never_allowed(
    client: aiohttp.ClientSession, webhook: Webhook, body: bytes
) -> None:
    status, text = await ask(client, webhook, body)
    assert status == 400
    assert "allowed" not in text


async def test_a_body_that_no_pod_has_is_413(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    assert (await ask(client, webhook, b" " * (MOST_BYTES + 1)))[0] == 413
    assert (await ask(client, webhook, review_of(POD)))[0] == 200


async def test_an_error_of_our_own_allows_nothing(
    client: aiohttp.ClientSession, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    pod = POD | {"spec": {"containers": ["not an object"]}}
    assert (await ask(client, webhook, review_of(pod)))[0] == 500
    assert "admission failed" in caplog.messages
    assert (await ask(client, webhook, review_of(POD)))[0] == 200


async def test_a_dry_run_leaves_no_trace(
    client: aiohttp.ClientSession, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "featward_operator")
    _, dry = await ask(client, webhook, review_of(POD, dryRun=True))
    assert not [name for name in webhook.series() if "featward_operator_injections_total" in name]
    assert not [one for one in caplog.records if one.name.startswith("featward_operator")]
    _, wet = await ask(client, webhook, review_of(POD))
    assert dry == wet
    counted = 'featward_operator_injections_total{decision="injected",reason="injected"}'
    assert webhook.series()[counted] == 1.0
    assert "pod admitted" in caplog.messages


async def test_metrics_have_the_names_that_dashboards_know(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    await ask(client, webhook, review_of(POD))
    await ask(client, webhook, b"")
    series, hook = webhook.series(), 'webhook="/mutate-pods"'
    assert series[f'controller_runtime_webhook_requests_total{{code="200",{hook}}}'] == 1.0
    assert series[f'controller_runtime_webhook_requests_total{{code="400",{hook}}}'] == 1.0
    assert series[f"controller_runtime_webhook_latency_seconds_count{{{hook}}}"] == 2.0
    assert series[f'controller_runtime_webhook_latency_seconds_bucket{{le="0.01",{hook}}}'] >= 1.0
    assert series[f"controller_runtime_webhook_requests_in_flight{{{hook}}}"] == 0.0


async def test_older_tls_is_refused(webhook: Webhook) -> None:
    context = webhook.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", webhook.port, ssl=context)


async def test_a_new_leaf_is_shown_to_new_connections_and_old_ones_go_on(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    first = webhook.authority
    assert (await ask(client, webhook, review_of(POD)))[0] == 200
    webhook.authority = make_authority(time.time(), 3600.0)
    assert webhook.certificate.use(webhook.authority, time.time())
    assert (await ask(client, webhook, review_of(POD)))[0] == 200, "the kept connection"
    context = webhook.trust()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as other:
        assert (await ask(other, webhook, review_of(POD)))[0] == 200
    old = ssl.create_default_context(cadata=first.certificate.decode())
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("localhost", webhook.port, ssl=old)


async def test_a_leaf_is_renewed_in_its_last_third_and_when_the_clock_was_set_back(
    webhook: Webhook,
) -> None:
    certificate, authority = webhook.certificate, webhook.authority
    assert certificate.leaf
    made = certificate.leaf.made
    assert not certificate.use(authority, made + 2399)
    assert certificate.use(authority, made + 2401)
    assert certificate.use(authority, made - 4000)
    assert certificate.leaf.ends == made - 4000 + 3600


async def test_a_replica_without_a_certificate_refuses_handshakes_and_stays_up(
    webhook: Webhook,
) -> None:
    context, served = webhook.trust(), webhook.certificate._serving
    webhook.certificate._serving = None
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", webhook.port, ssl=context)
    webhook.certificate._serving = served
    _, writer = await asyncio.open_connection("localhost", webhook.port, ssl=context)
    writer.close()


async def test_a_server_that_drains_answers_and_ends_its_connections(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    webhook.stops = True
    async with client.post(webhook.url, data=review_of(POD), headers=JSON) as response:
        assert response.status == 200
        assert response.headers["Connection"] == "close"


async def test_a_request_under_way_is_answered_before_the_end(
    client: aiohttp.ClientSession, webhook: Webhook
) -> None:
    webhook.slow = 0.5
    asking = asyncio.create_task(ask(client, webhook, review_of(POD)))
    await asyncio.sleep(0.2)
    webhook.stops = True
    await webhook.server.stop()
    assert (await asking)[0] == 200


async def test_a_taken_port_is_said_in_one_sentence(webhook: Webhook) -> None:
    with pytest.raises(OperatorError, match=r"ports\.webhook: cannot listen on port .*ss -tlnp"):
        await WebhookServer(webhook.server._admission, webhook.certificate).start(
            webhook.port, "127.0.0.1"
        )
