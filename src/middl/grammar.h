/* SPDX-License-Identifier: MIT */
/* Files for editors, made from the token table. Not here: how an editor is told of them. */
#ifndef MBR_MIDDL_GRAMMAR_H
#define MBR_MIDDL_GRAMMAR_H

#include "base/strbuf.h"

/* A TextMate grammar (JSON), as many editors read it. */
void mbr__mc_write_textmate(struct mbr__strbuf *out);

/* A syntax file of vim. */
void mbr__mc_write_vim(struct mbr__strbuf *out);

#endif
