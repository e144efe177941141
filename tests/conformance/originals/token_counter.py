def token_counter():
    seen = {}
    while True:
        token = yield dict(seen)
        if not isinstance(token, str):
            raise TypeError(f"token must be str, not {type(token).__name__}")
        seen[token] = seen.get(token, 0) + 1
