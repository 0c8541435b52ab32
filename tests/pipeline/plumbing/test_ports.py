"""No server starts where another program answers."""

import socket

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.plumbing import ports
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.ports import port_to_serve

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    """A port at which a program listens."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_refused_with_the_option_to_change_it(taken):
    with pytest.raises(UserError, match=f"port {taken} of {HOST} is in use; .* with --port"):
        port_to_serve(HOST, taken, default=1)


def test_a_default_that_is_taken_gives_way_to_the_next_free_port_and_says_so(taken, capsys):
    port = port_to_serve(HOST, None, default=taken)
    assert taken < port < taken + ports.TRIED and not ports.is_taken(HOST, port)
    assert capsys.readouterr().err == f"port {taken} is in use; this is port {port}\n"


def test_where_every_port_is_taken_the_option_is_named(taken, monkeypatch):
    monkeypatch.setattr(ports, "TRIED", 1)
    with pytest.raises(UserError, match="are in use; choose another with --port"):
        port_to_serve(HOST, None, default=taken)


def test_a_free_port_is_used_as_it_is_without_a_word(taken, capsys):
    free = port_to_serve(HOST, None, default=taken)
    capsys.readouterr()
    assert port_to_serve(HOST, free, default=1) == port_to_serve(HOST, None, free) == free
    assert not capsys.readouterr().err


def test_an_address_of_another_machine_is_refused_by_name():
    with pytest.raises(UserError, match=r"port 7860 of 192.0.2.1: .*; choose another"):
        port_to_serve("192.0.2.1", 7860, default=7860)


@pytest.mark.parametrize("verb", ["ui", "demo"])
def test_a_command_that_serves_stops_with_one_line_where_its_port_is_taken(verb, taken):
    result = CliRunner().invoke(app, [verb, "--port", str(taken)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"error: port {taken} of {HOST} is in use; choose another with --port"
    ]
