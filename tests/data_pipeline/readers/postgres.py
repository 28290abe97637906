"""A PostgreSQL server of its own for the tests, in a folder of its own, run by an unprivileged user."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "reader", "s3cret/pass+word"
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Server:
    """A running server that asks for a password."""

    port: int

    def url(self, database: str, password: str = "") -> str:
        """The address of a database, with the password percent-encoded where one is given."""
        from urllib.parse import quote

        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql+psycopg://{USER}{secret}@127.0.0.1:{self.port}/{database}"


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def running_server(programs: Path) -> Iterator[Server]:
    """Start a server with a fresh database cluster, and stop it at the end."""
    # The path of a socket is short by law, and the server's user must be able to reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    user = _server_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    port = _free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    data = str(folder / "data")
    initdb = ["initdb", "-D", data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8"]
    try:
        _run(programs, [*initdb, "--locale=C"], user)
        _run(programs, ["pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start"], user)
        try:
            yield Server(port)
        finally:
            _run(programs, ["pg_ctl", "-D", data, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(programs: Path, command: list[str], user: pwd.struct_passwd | None) -> None:
    command = [str(programs / command[0]), *command[1:]]
    drop = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # The server inherits what is open here; a pipe would be held for ever.
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **drop)  # type: ignore[call-overload]
    assert result.returncode == 0, command


def _server_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED if name in known)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
