"""Our gRPC client against a real grpcio server on a UNIX socket."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from featward_sidecar import grpc_call
from featward_sidecar.errors import CallError
from featward_sidecar.grpc_call import GrpcCall, Status

Behaviour = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
Serve = Callable[[Behaviour], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers = []

    def serve(behaviour: Behaviour) -> str:
        server = grpc.server(
            futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)]
        )
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
            behaviour
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Service", {"Call": handler}),)
        )
        server.add_insecure_port(f"unix:{tmp_path / 'grpc.sock'}")
        server.start()
        servers.append(server)
        return str(tmp_path / "grpc.sock")

    yield serve
    for server in servers:
        server.stop(0).wait()


def call(path: str, method: str = "Call") -> GrpcCall:
    return GrpcCall(path, f"/test.Service/{method}")


def echo(messages: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
    yield from messages


def test_messages_go_up_and_down_a_stream(serve: Serve) -> None:
    with call(serve(echo)) as stream:
        for message in (b"one", b"", b"three"):
            stream.send(message)
            assert stream.receive(5) == message


def test_messages_larger_than_every_window_and_frame_arrive_whole(serve: Serve) -> None:
    large = bytes(range(256)) * 12_000
    with call(serve(echo)) as stream:
        stream.send(large)
        assert stream.receive(20) == large


def test_a_unary_answer_needs_status_ok(serve: Serve) -> None:
    def answer_then_fail(
        messages: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        yield next(messages)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "on second thoughts")

    with (
        call(serve(answer_then_fail)) as stream,
        pytest.raises(CallError, match="on second thoughts") as caught,
    ):
        stream.ask(b"x", timeout=5)
    assert caught.value.status == Status.FAILED_PRECONDITION


def test_a_unary_call_gives_the_answer(serve: Serve) -> None:
    with call(serve(echo)) as stream:
        assert stream.ask(b"question", timeout=5) == b"question"


def test_a_refusal_carries_code_and_sentence(serve: Serve) -> None:
    def refuse(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token was used — 100 % sure")
        yield from messages

    with call(serve(refuse)) as stream, pytest.raises(CallError) as caught:
        stream.receive(5)
    assert caught.value.status == Status.PERMISSION_DENIED
    assert caught.value.detail == "the token was used — 100 % sure"


def test_what_is_sent_to_a_call_that_was_refused_meanwhile_ends_with_the_refusal(
    serve: Serve,
) -> None:
    """An operator says no after its first word, while a report is on its way."""

    def welcome_then_refuse(
        messages: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        yield b"welcome"
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "of no business unit")
        yield from messages

    with call(serve(welcome_then_refuse)) as stream:
        assert stream.receive(5) == b"welcome"
        with pytest.raises(CallError):
            stream.receive(5)
        with pytest.raises(CallError, match="of no business unit") as caught:
            stream.send(b"a report")
        assert caught.value.status == Status.PERMISSION_DENIED


def test_a_far_side_that_says_goodbye_is_an_error_of_the_call(
    silent: tuple[str, socket.socket],
) -> None:
    """Of the whole connection, which is not the call's end by itself."""
    path, listener = silent
    with call(path) as stream:
        peer, _ = listener.accept()
        with peer:
            empty_settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            goodbye = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 255, 255, 255, 0, 0, 0, 0])
            peer.sendall(empty_settings + goodbye)
            assert stream.receive(0.2) is None
            with pytest.raises(CallError) as caught:
                stream.send(b"a report")
    assert caught.value.status == Status.UNAVAILABLE


def test_an_unknown_method_is_an_error_with_its_code(serve: Serve) -> None:
    with call(serve(echo), "Nothing") as stream, pytest.raises(CallError) as caught:
        stream.ask(b"x", timeout=5)
    assert caught.value.status == 12  # UNIMPLEMENTED


def test_silence_is_none_and_not_an_error(serve: Serve) -> None:
    with call(serve(echo)) as stream:
        assert stream.receive(0.05) is None


def test_another_thread_can_end_the_wait(serve: Serve) -> None:
    with call(serve(echo)) as stream:
        threading.Timer(0.1, stream.cancel).start()
        with pytest.raises(CallError, match="closed"):
            stream.receive(30)


def test_a_server_that_goes_away_ends_the_call(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="nothing answers"):
        call(str(tmp_path / "no.sock"))


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent.sock"))
        listener.listen()
        yield str(tmp_path / "silent.sock"), listener


def test_a_host_that_vanished_is_noticed_by_an_unanswered_ping(
    silent: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_call, "PING_SECONDS", 0.05)
    monkeypatch.setattr(grpc_call, "PONG_SECONDS", 0.05)
    with call(silent[0]) as stream, pytest.raises(CallError, match="no answer to a ping"):
        stream.receive(30)


def test_a_live_server_answers_pings(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_call, "PING_SECONDS", 0.2)
    with call(serve(echo)) as stream:
        assert stream.receive(0.5) is None
        stream.send(b"still here")
        assert stream.receive(5) == b"still here"


def test_frames_that_break_http2_are_an_error(silent: tuple[str, socket.socket]) -> None:
    path, listener = silent
    with call(path) as stream:
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(bytes(9))  # a DATA frame on stream 0
            with pytest.raises(CallError, match="not HTTP/2"):
                stream.receive(5)


def test_sending_to_a_peer_that_takes_nothing_ends_with_an_error(
    silent: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with call(silent[0]) as stream, pytest.raises(CallError):
        stream.send(b"x" * 200_000, timeout=0.2)
    assert time.monotonic() - began < 5
