def select(field):
    selected = None
    while True:
        selected = yield selected
        for name in field.split("."):
            selected = selected.get(name) if isinstance(selected, dict) else None
