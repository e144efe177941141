"""One text for one value or exception, the same on every side of a comparison.

Scalars, lists and maps are Python's repr(). An exception is its class with what it derives from, its arguments, message and
notes, "!" if its context is suppressed, then its cause and context:

    KeyError('k') "'k'" ! from <ValueError('v') 'v'> while <GeneratorExit() ''>

"while =" says that the context is the cause, and "^" stands before an exception that encloses itself.
"""

_SCALARS = frozenset((type(None), bool, int, float, str, bytes))
_type_names = {}


def type_name(cls):
    """What a client calls the class: ValueError, app.Error."""
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _type_with_bases(cls):
    text = _type_names.get(cls)
    if text is None:
        text = type_name(cls)
        if cls.__module__ != "builtins":
            text += "".join(":" + type_name(base) for base in cls.__mro__[1:-1])
        _type_names[cls] = text
    return text


def of_value(value, enclosing=()):
    kind = type(value)
    if kind in _SCALARS:
        return repr(value)
    if kind is list or kind is tuple:
        return "[" + ", ".join([of_value(item, enclosing) for item in value]) + "]"
    if kind is dict:
        return "{" + ", ".join([f"{key!r}: {of_value(item, enclosing)}" for key, item in value.items()]) + "}"
    if isinstance(value, BaseException):
        return "<" + of_exception(value, enclosing) + ">"
    raise TypeError(f"{kind.__name__} has no canonical text")


def of_exception(exception, enclosing=()):
    text = _type_with_bases(type(exception))
    arguments = ", ".join([of_value(argument, enclosing) for argument in exception.args])
    text = f"{text}({arguments}) {str(exception)!r}"
    for seen in enclosing:
        if seen is exception:
            return "^" + text
    for note in getattr(exception, "__notes__", ()):
        text += f" note {note!r}"
    if exception.__suppress_context__:
        text += " !"
    cause, context = exception.__cause__, exception.__context__
    if cause is not None or context is not None:
        enclosing = (*enclosing, exception)
        if cause is not None:
            text += f" from <{of_exception(cause, enclosing)}>"
        if context is not None:
            text += " while =" if context is cause else f" while <{of_exception(context, enclosing)}>"
    return text
