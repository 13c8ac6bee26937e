"""Go's text/template: a text is compiled once into closures, which write a text from a value.

``lexer`` cuts it into items, ``parser`` compiles them, ``values`` has Go's truth, comparison and printing of values,
``builtins`` the functions of the language, ``sprig`` those that Kwok's stages may use beside them. Source: Go 1.26
text/template (doc.go, parse/, exec.go, funcs.go). Values are JSON's: what Go would say of structs and methods is not there.
"""
