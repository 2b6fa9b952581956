"""A client of the YAML language server that editors use, over its standard input and output."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any

SECONDS = 60


class LanguageServer:
    """One server process; files are named by their paths."""

    def __init__(self, packages: Path, root: Path) -> None:
        program = packages / "yaml-language-server" / "bin" / "yaml-language-server"
        self._process = subprocess.Popen(
            ["node", str(program), "--stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._numbers = count(1)
        self._answers: dict[int, Queue[Any]] = {}
        self._problems: Queue[tuple[str, list[Any]]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._ask("initialize", {"processId": None, "rootUri": root.as_uri(), "capabilities": {}})
        self._send({"method": "initialized", "params": {}})
        yaml = {
            "validate": True,
            "hover": True,
            "completion": True,
            "schemaStore": {"enable": False},
        }
        self._send({"method": "workspace/didChangeConfiguration",
                    "params": {"settings": {"yaml": yaml}}})  # fmt: skip

    def open(self, file: Path) -> list[str]:
        """Open a file and give what the server says is wrong with it."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1,
                    "text": file.read_text()}  # fmt: skip
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            uri, problems = self._problems.get(timeout=SECONDS)
            if uri == file.as_uri():
                return [f"{each['range']['start']['line'] + 1}: {each['message']}"
                        for each in problems]  # fmt: skip

    def hover(self, file: Path, line: int, column: int) -> str:
        """Give what is shown of the word at a place; both count from 0."""
        found = self._ask("textDocument/hover", _place(file, line, column))
        contents = (found or {}).get("contents", "")
        return str(contents["value"] if isinstance(contents, dict) else contents)

    def complete(self, file: Path, line: int, column: int) -> dict[str, str]:
        """Give what is offered at a place, with its explanation."""
        found = self._ask("textDocument/completion", _place(file, line, column))
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"]: _text(item.get("documentation", "")) for item in items}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def _ask(self, method: str, params: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = Queue()
        self._send({"id": number, "method": method, "params": params})
        answer = self._answers[number].get(timeout=SECONDS)
        assert "error" not in answer, answer
        return answer["result"]

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> None:
        for message in self._messages():
            if "method" not in message:
                self._answers[message["id"]].put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                params = message["params"]
                self._problems.put((params["uri"], params["diagnostics"]))
            elif message["method"] == "workspace/configuration":
                self._send(
                    {"id": message["id"], "result": [{} for _ in message["params"]["items"]]}
                )
            elif "id" in message:
                self._send({"id": message["id"], "result": None})

    def _messages(self) -> Iterator[Any]:
        stream = self._process.stdout
        assert stream
        while line := stream.readline():
            size = 0
            while line.strip():
                if line.lower().startswith(b"content-length:"):
                    size = int(line.split(b":")[1])
                line = stream.readline()
            yield json.loads(stream.read(size))


def _place(file: Path, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": file.as_uri()},
            "position": {"line": line, "character": column}}  # fmt: skip


def _text(documentation: Any) -> str:
    return str(documentation["value"] if isinstance(documentation, dict) else documentation)
