def batch(size):
    gathered = []
    full = None
    while True:
        try:
            value = yield full
        except GeneratorExit:
            return gathered or None
        full = None
        gathered.append(value)
        if len(gathered) == size:
            full = gathered
            gathered = []
