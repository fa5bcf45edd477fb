# SPDX-License-Identifier: MIT
# `make VERB` is `./dev VERB`; arguments go through ARGS: make check ARGS=--quick

VERBS := help setup demo check bench fmt tidy cov fuzz install package clean
.PHONY: all $(VERBS)
all:
	@./dev build
$(VERBS):
	@./dev $@ $(ARGS)
