#!/bin/sh
sed -i "s/colour: blue/colour: green/" "$1"
