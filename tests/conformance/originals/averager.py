def averager():
    total = 0.0
    n = 0
    while True:
        x = yield (total / n if n else None)
        total += x
        n += 1
