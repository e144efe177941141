"""Messages written byte by byte, for what protobuf would not write: values that nest too deep, texts that are not UTF-8."""


def varint(number):
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7f | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number, content):
    """A field with a length: bytes, a text or a message."""
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number, value):
    return varint(number << 3) + varint(value)


# ---- corod.v1.Value

def text(content):
    return field(4, content)


def nested(levels, innermost, head_of):
    """Levels around `innermost`; `head_of(size)` is what stands before a content of that size."""
    heads = []
    size = len(innermost)
    for _ in range(levels):
        heads.append(head_of(size))
        size += len(heads[-1])
    return b"".join(reversed(heads)) + innermost


def head(number, size):
    """Of a field whose content has `size` bytes."""
    return varint(number << 3 | 2) + varint(size)


def in_lists(levels, value=b""):
    def list_of(size):
        item = head(1, size)
        return head(6, len(item) + size) + item
    return nested(levels, value, list_of)


def in_maps(levels, value=b""):
    def map_of(size):
        entry = field(1, "k") + head(2, size)
        entries = head(1, len(entry) + size) + entry
        return head(7, len(entries) + size) + entries
    return nested(levels, value, map_of)


def in_exceptions(levels, value=b""):
    def exception_of(size):
        content = field(1, "ValueError") + head(3, size)
        return head(9, len(content) + size) + content
    return nested(levels, value, exception_of)


def exception(type_name, *arguments):
    """A corod.v1.Exception."""
    return field(1, type_name) + b"".join(field(3, argument) for argument in arguments)


# ---- requests

def send_request(session_id, value):
    return field(1, session_id) + field(2, value)


def throw_request(session_id, thrown):
    return field(1, session_id) + field(2, thrown)


def create_request(coroutine, session_id, **arguments):
    request = field(1, coroutine) + field(3, session_id)
    for name, value in arguments.items():
        request += field(2, field(1, name) + field(2, value))
    return request


def drive_request(*commands):
    return b"".join(field(1, command) for command in commands)


def sends(tag, session_id, value):
    return number_field(1, tag) + field(2, session_id) + field(3, value)


def throws(tag, session_id, thrown):
    return number_field(1, tag) + field(2, session_id) + field(4, thrown)


def creates(tag, request):
    return number_field(1, tag) + field(6, request)
