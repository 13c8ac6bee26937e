CHARS_MAX: int
EXPONENT_MAX: int
FORMAT_WRONG: str
NUMERIC: str
SUFFIX: str

def canonical(text: str) -> str: ...
