"""Between Python's values and corod.v1.Value.

What comes back is what was sent, but for exceptions, which come back as a RemoteException: their classes need not exist here.
"""
import builtins
from dataclasses import dataclass, field

from google.protobuf import any_pb2

from corod.v1 import value_pb2


@dataclass
class RemoteException:
    type: str
    message: str = ""
    arguments: list = field(default_factory=list)
    cause: "RemoteException | None" = None
    context: "RemoteException | None" = None
    suppress_context: bool = False
    context_is_cause: bool = False
    notes: list = field(default_factory=list)
    bases: list = field(default_factory=list)
    traceback: str = field(default="", compare=False)

    def __str__(self):
        return f"{self.type}: {self.message}"


def type_name(cls):
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def remote(exception, message=str):
    """A Python exception as it should look from far away. `message`: what its message is."""
    if isinstance(exception, RemoteException):
        return exception
    cause, context = exception.__cause__, exception.__context__
    cls = type(exception)
    return RemoteException(
        type=type_name(cls),
        message=message(exception),
        arguments=list(exception.args),
        cause=None if cause is None else remote(cause, message),
        context=None if context is None or context is cause else remote(context, message),
        suppress_context=exception.__suppress_context__,
        context_is_cause=cause is not None and context is cause,
        notes=list(getattr(exception, "__notes__", ())),
        bases=[] if hasattr(builtins, cls.__name__) else [type_name(base) for base in cls.__mro__[1:-1]],
    )


def to_proto(value):
    proto = value_pb2.Value()
    if value is None:
        pass
    elif isinstance(value, bool):
        proto.boolean = value
    elif isinstance(value, int):
        proto.integer = value
    elif isinstance(value, float):
        proto.number = value
    elif isinstance(value, str):
        proto.text = value
    elif isinstance(value, bytes):
        proto.blob = value
    elif isinstance(value, (list, tuple)):
        proto.list.SetInParent()
        proto.list.items.extend([to_proto(item) for item in value])
    elif isinstance(value, dict):
        proto.map.SetInParent()
        for key, item in value.items():
            entry = proto.map.entries.add(key=key)
            if item is not None:
                entry.value.CopyFrom(to_proto(item))
    elif isinstance(value, any_pb2.Any):
        proto.message.CopyFrom(value)
    elif isinstance(value, (BaseException, RemoteException)):
        proto.exception.CopyFrom(exception_to_proto(value))
    else:
        raise TypeError(f"{type(value).__name__} is no value")
    return proto


def exception_to_proto(exception):
    exception = remote(exception)
    proto = value_pb2.Exception(type=exception.type, message=exception.message,
                                suppress_context=exception.suppress_context,
                                context_is_cause=exception.context_is_cause, bases=exception.bases,
                                notes=exception.notes, arguments=[to_proto(a) for a in exception.arguments])
    if exception.cause is not None:
        proto.cause.CopyFrom(exception_to_proto(exception.cause))
    if exception.context is not None:
        proto.context.CopyFrom(exception_to_proto(exception.context))
    return proto


def from_proto(proto):
    kind = proto.WhichOneof("kind")
    if kind is None:
        return None
    content = getattr(proto, kind)
    if kind == "list":
        return [from_proto(item) for item in content.items]
    if kind == "map":
        return {entry.key: from_proto(entry.value) for entry in content.entries}
    if kind == "exception":
        return exception_from_proto(content)
    return content


def exception_from_proto(proto):
    return RemoteException(
        type=proto.type,
        message=proto.message,
        arguments=[from_proto(argument) for argument in proto.arguments],
        cause=exception_from_proto(proto.cause) if proto.HasField("cause") else None,
        context=exception_from_proto(proto.context) if proto.HasField("context") else None,
        suppress_context=proto.suppress_context,
        context_is_cause=proto.context_is_cause,
        notes=list(proto.notes),
        bases=list(proto.bases),
        traceback=proto.traceback,
    )


def strict(value, message=str):
    """A form in which 1, 1.0 and True differ, 0.0 and -0.0 too, NaN equals NaN, and the order of a map counts."""
    if isinstance(value, (list, tuple)):
        return ["list", *(strict(item, message) for item in value)]
    if isinstance(value, dict):
        return ["map", *((key, strict(item, message)) for key, item in value.items())]
    if isinstance(value, (BaseException, RemoteException)):
        value = remote(value, message)
        return ["exception", value.type, value.message, strict(value.arguments, message),
                value.cause and strict(value.cause, message), value.context and strict(value.context, message),
                value.suppress_context, value.context_is_cause, value.notes, value.bases]
    return [type(value).__name__, repr(value)]
