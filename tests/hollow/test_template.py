"""Go's text/template: what the language's own documentation and tests say of each construct."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.template import compile_template

DATA: dict[str, Any] = {
    "s": "text", "n": 3, "f": 1.5, "t": True, "l": [5, 6, 7], "m": {"b": 1, "a": {"c": "deep"}}, "e": [], "z": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("{{ .s }} {{ .n }} {{ .f }} {{ .t }}", "text 3 1.5 true"),
        ("{{ .m.a.c }}", "deep"),
        ("{{ .none }} {{ .none.below }} {{ .z }}", "<no value> <no value> <no value>"),
        ("{{ .l }} {{ .m }}", "[5 6 7] map[a:map[c:deep] b:1]"),
        ("a {{- .n -}} b", "a3b"),
        ("a {{/* said */}} b{{- /* cut */ -}} c", "a  bc"),
        ("{{ if .none }}a{{ else if .t }}b{{ else }}c{{ end }}", "b"),
        ("{{ with .s }}{{ . }}{{ end }}{{ with .e }}x{{ else with .n }}{{ . }}{{ else }}y{{ end }}", "text3"),
        ("{{ range .l }}{{ . }},{{ end }}{{ range .e }}x{{ else }}none{{ end }}", "5,6,7,none"),
        ("{{ range $i, $v := .l }}{{ $i }}={{ $v }} {{ end }}", "0=5 1=6 2=7 "),
        ("{{ range $k, $v := .m }}{{ $k }}{{ end }}{{ range 3 }}{{ . }}{{ end }}", "ab012"),
        ("{{ range .l }}{{ if eq . 6 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "57"),
        ("{{ range .l }}{{ if eq . 6 }}{{ break }}{{ end }}{{ . }}{{ end }}", "5"),
        ("{{ $x := 1 }}{{ if .t }}{{ $x = 2 }}{{ $y := 9 }}{{ end }}{{ $x }}{{ $.s }}", "2text"),
        ('{{ define "d" }}<{{ . }}>{{ end }}{{ template "d" .n }}{{ block "b" .s }}[{{ . }}]{{ end }}', "<3>[text]"),
        ('{{ or .none "" "last" }} {{ and 1 0 2 }} {{ not .none }}', "last 0 true"),
        ('{{ eq .s "a" "text" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1 2 }} {{ ge 2 2 }}', "true true true true false true"),
        ('{{ eq .none "a" }} {{ eq .z nil }}', "false true"),
        ('{{ index .m "a" "c" }} {{ index .l 1 }} {{ len .l }} {{ slice .l 1 2 }}', "deep 6 3 [6]"),
        ('{{ printf "%05d|%-4s|%q|%v|%.2f|%x" 42 "a" "b" .l .f 255 }}', '00042|a   |"b"|[5 6 7]|1.50|ff'),
        ('{{ printf "%d" "a" }} {{ printf "%s" }} {{ print 1 2 "a" }}', "%!d(string=a) %!s(MISSING) 1 2a"),
        ("{{ (index .l 0) | printf `%d-%d` 1 }}", "1-5"),
        ("{{ 'a' }} {{ 0x1F }} {{ 1e3 }} {{ 1.5e-7 }} {{ \"\\u00e9\\n\" }}{{ `r\\n` }}", "97 31 1000 1.5e-07 é\nr\\n"),
        ('{{ default "d" .none }} {{ .s | upper | quote }} {{ ternary "y" "n" .t }}', 'd "TEXT" y'),
        ('{{ add 1 2 3 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div -7 2 }} {{ mod -7 2 }}', "6 3 6 -3 -1"),
        ('{{ join "," .l }} {{ toJson .m }} {{ dict "a" 1 }} {{ list 1 2 | last }}', '5,6,7 {"b":1,"a":{"c":"deep"}} map[a:1] 2'),
        ('{{ trimSuffix "xt" .s }} {{ hasPrefix "te" .s }} {{ replace "t" "d" .s }} {{ nindent 2 .s }}', "te true dexd \n  text"),
    ],
)  # fmt: skip
def test_writes(text: str, written: str) -> None:
    assert compile_template(text).render(DATA) == written


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ nothing }}", 'line 1: function "nothing" not defined'),
        ("\n{{ .s", "line 2: unclosed action"),
        ("{{ if .s }}x", "line 1: unexpected EOF"),
        ("{{ end }}", "line 1: unexpected {{end}}"),
        ("{{ if }}{{ end }}", 'line 1: unexpected "}}" in if'),
        ("{{ $x }}", 'line 1: undefined variable "$x"'),
        ('{{ "open }}', "line 1: unterminated quoted string"),
        ("{{ break }}", "line 1: {{break}} outside {{range}}"),
        ("{{ .s 1 }}", "line 1: can't give argument to non-function s"),
        ("{{ ? }}", 'line 1: unexpected "?" in command'),
        ("{{/* open", "line 1: unclosed comment"),
        ("{{ " + "(" * 300 + "1 }}", "line 1: nested deeper than 200"),
    ],
)
def test_is_no_template(text: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    assert str(caught.value) == f"template {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ .s.below }}", "can't evaluate field below in type string"),
        ("{{ index .l 3 }}", "error calling index: index out of range: 3"),
        ('{{ eq .n "a" }}', "error calling eq: incompatible types for comparison"),
        ("{{ lower .none }}", "error calling lower: invalid value; expected string"),
        ('{{ template "x" }}', 'template "x" not defined'),
        (
            '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
            "templates call each other too deeply",
        ),
        ("{{ repeat 9999999 .s }}", "error calling repeat: more than 1000000 elements"),
        ('{{ fail "said" }}', "error calling fail: said"),
    ],
)
def test_cannot_be_rendered(text: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text).render(DATA)
    assert caught.value.problem == problem
