"""Checks MCP messages against the specification's own JSON Schema, one file for each revision.

The files are looked for in `shared/spec/REVISION/schema.json` beside any directory above this one, or below
`$MCP_SPEC_DIR`. Where there are none, the types of the pinned SDK take their place: they are generated from the
same schemas, of which they know two eras, so that revisions before 2026-07-28 are checked as 2025-11-25.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
from jsonschema.exceptions import best_match

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

# The specification describes the whole response for these codes, and only the error object for the others.
_WHOLE_ERRORS = {
    -32020: "HeaderMismatchError",
    -32021: "MissingRequiredClientCapabilityError",
    -32022: "UnsupportedProtocolVersionError",
}
_ERROR_OBJECTS = {
    -32700: "ParseError",
    -32600: "InvalidRequestError",
    -32601: "MethodNotFoundError",
    -32602: "InvalidParamsError",
    -32603: "InternalError",
}
_RESULTS = {
    "server/discover": "DiscoverResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "completion/complete": "CompleteResult",
    "subscriptions/listen": "SubscriptionsListenResult",
}
TASKS = "extensions/tasks"
"""Where the schema of the extension for tasks is, beside the revisions."""
_TASK_RESULTS = {"tasks/get": "GetTaskResult", "tasks/update": "UpdateTaskResult", "tasks/cancel": "CancelTaskResult"}
_ASKING = {"tools/call", "prompts/get", "resources/read"}
"""The methods whose result may be a question to the client."""


def specification() -> Path | None:
    """The directory with one directory for each revision, or None."""
    if configured := os.environ.get("MCP_SPEC_DIR"):
        return Path(configured)
    candidates = (parent / "shared" / "spec" for parent in Path(__file__).resolve().parents)
    return next((path for path in candidates if (path / MODERN / "schema.json").is_file()), None)


def source() -> str:
    """For the summary: what messages are checked against."""
    found = specification()
    return f"schemas in {found}" if found else "the pinned SDK's types (no schema.json found)"


class Revision:
    """The definitions of one revision of the specification."""

    def __init__(self, name: str, directory: Path | None) -> None:
        self.name = name
        self._schema: dict[str, Any] | None = None
        if directory is not None:
            self._schema = json.loads((directory / name / "schema.json").read_text())
            self._key = "$defs" if "$defs" in self._schema else "definitions"
        else:
            era = MODERN if name == MODERN else LEGACY[0]
            self._types = importlib.import_module(f"mcp_types._v{era.replace('-', '_')}")

    def errors(self, definition: str, message: Any) -> list[str]:
        """What is wrong with `message` as a `definition`; nothing when it is right."""
        if self._schema is not None:
            error = best_match(self._validator(definition).iter_errors(message))
            found = [] if error is None else [f"{error.json_path}: {error.message}"]
        else:
            try:
                self._adapter(definition).validate_json(json.dumps(message), strict=True)
                found = []
            except pydantic.ValidationError as error:
                found = [f"{item['loc']}: {item['msg']}" for item in error.errors()[:3]]
        return [f"not a {definition} of {self.name}: {text[:400]}" for text in found]

    def defines(self, definition: str) -> bool:
        if self._schema is not None:
            return definition in self._schema[self._key]
        return hasattr(self._types, definition)

    def by_method(self, group: str, method: str) -> str | None:
        """The member of a union such as ClientRequest that has this method."""
        if self._schema is None:
            return group
        definitions = self._schema[self._key]
        names = (choice["$ref"].rsplit("/", 1)[1] for choice in definitions[group]["anyOf"])
        return next((name for name in names if definitions[name]["properties"]["method"]["const"] == method), None)

    @functools.cache
    def _validator(self, definition: str) -> jsonschema.protocols.Validator:
        assert self._schema is not None
        if definition not in self._schema[self._key]:
            raise LookupError(f"{self.name} has no definition {definition}")
        schema = {"$schema": self._schema["$schema"], "$ref": f"#/{self._key}/{definition}"}
        schema[self._key] = self._schema[self._key]
        return jsonschema.validators.validator_for(schema)(schema)

    @functools.cache
    def _adapter(self, definition: str) -> pydantic.TypeAdapter[Any]:
        return pydantic.TypeAdapter(getattr(self._types, definition))


@functools.cache
def revision(name: str) -> Revision:
    return Revision(name, specification())


def response_errors(method: str | None, message: Any) -> list[str]:
    """What is wrong with a response to a modern client; `method` is None when the request could not be read."""
    modern = revision(MODERN)
    if "error" not in message:
        if method is None:
            return ["a result to a request that has no method"]
        found = modern.errors("JSONRPCResultResponse", message)
        if method in _TASK_RESULTS or message["result"].get("resultType") == "task":
            return found or task_errors(_TASK_RESULTS.get(method, "CreateTaskResult"), message["result"])
        return found or modern.errors(_result_definition(modern, method, message["result"]), message["result"])
    found = modern.errors("JSONRPCErrorResponse", message)
    if found:
        return found
    code = message["error"]["code"]
    if code in _WHOLE_ERRORS:
        found += modern.errors(_WHOLE_ERRORS[code], message)
    elif code in _ERROR_OBJECTS:
        found += modern.errors(_ERROR_OBJECTS[code], message["error"])
    if "result" in message:
        found.append("both a result and an error")
    return found


def task_errors(definition: str, message: Any) -> list[str]:
    """What is wrong with a message of the extension for tasks, or with what it inlines; nothing where there is no schema."""
    directory = specification()
    if directory is None or not (directory / TASKS / "schema.json").is_file():
        return []
    found = revision(TASKS).errors(definition, message)
    # A server tells an outcome by `tasks/get` alone, and what is inlined is a whole result.
    if definition == "CreateTaskResult":
        found += [f"a new task with {name}" for name in ("task", "result", "error", "inputRequests") if name in message]
    elif "result" in message:
        found += revision(MODERN).errors("CallToolResult", message["result"])
    return found


def _result_definition(modern: Revision, method: str, result: Any) -> str:
    """The one definition that fits. The schema's own `CallToolResultResponse` and its like say "either this or an
    InputRequiredResult", and the latter takes nearly anything: a broken result would pass as one."""
    if result.get("resultType") == "input_required" and method in _ASKING:
        return "InputRequiredResult"
    definition = _RESULTS.get(method, "Result")
    return definition if modern.defines(definition) else "Result"


def server_notification_errors(message: Any) -> list[str]:
    """What is wrong with a notification to a modern client."""
    if message.get("method") == "notifications/tasks":
        return task_errors("TaskStatusNotification", message)
    return _by_method(revision(MODERN), "ServerNotification", message)


def client_message_errors(name: str, message: Any) -> list[str]:
    """What is wrong with a message to a legacy server that has negotiated the revision `name`."""
    legacy = revision(name)
    if "method" in message and "id" in message:
        return legacy.errors("JSONRPCRequest", message) or _by_method(legacy, "ClientRequest", message)
    if "method" in message:
        return legacy.errors("JSONRPCNotification", message) or _by_method(legacy, "ClientNotification", message)
    if "error" in message:
        name_of_error = "JSONRPCErrorResponse" if legacy.defines("JSONRPCErrorResponse") else "JSONRPCError"
        return legacy.errors(name_of_error, message)
    return legacy.errors("JSONRPCResponse", message)


def _by_method(of: Revision, group: str, message: Any) -> list[str]:
    method = message.get("method")
    definition = of.by_method(group, method)
    if definition is None:
        return [f"{of.name} has no {group} with the method {method!r}"]
    return of.errors(definition, message)
