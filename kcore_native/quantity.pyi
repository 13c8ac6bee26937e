CHARS_MAX: int
EXPONENT_MAX: int

def parse_nano(value: object) -> int: ...
