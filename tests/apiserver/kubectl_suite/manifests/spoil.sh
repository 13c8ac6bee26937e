#!/bin/sh
sed -i "s/^  colour: .*/  colour: [1]/" "$1"
