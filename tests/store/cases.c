/* SPDX-License-Identifier: MIT */
/*
 * The cases, by message type. Sources: docs/misc/xenstore.txt of Xen 4.23, and what its C daemon
 * does where that is silent.
 */
#include "cases.h"

/* Lines longer than the page are cut; the compiler joins them again. */
#define CASE(name, ...)         \
    {                           \
        name, __VA_ARGS__, true \
    }
#define MULTI(name, ...)         \
    {                            \
        name, __VA_ARGS__, false \
    }

/* clang-format off */
const struct store_case store_cases[] = {
    CASE("unknown type",
        "A #20 x| ! ENOSYS\n" "A #27 x| ! ENOSYS\n" "A #65535 x| ! ENOSYS\n"),
    CASE("WATCH_EVENT from a client",
        "A WATCH_EVENT /a|t| ! ENOSYS\n"),
    CASE("ERROR from a client",
        "A ERROR EINVAL| ! ENOSYS\n"),
    CASE("unknown type in an unknown transaction",
        "A.9 #20 x| ! ENOSYS\n"),
    CASE("an unknown transaction",
        "A.5 READ /tool| ! ENOENT\n" "A.5 WRITE /a|x ! ENOENT\n" "A.5 DIRECTORY /| ! ENOENT\n"),
    CASE("privilege comes before the transaction",
        "a.5 CONTROL check| ! EACCES\n"),
    CASE("a guest may not CONTROL",
        "a CONTROL check| ! EACCES\n"),
    CASE("a guest may not INTRODUCE",
        "a INTRODUCE 7|1|1| ! EACCES\n"),
    CASE("a guest may not RELEASE",
        "a RELEASE 2| ! EACCES\n"),
    CASE("a guest may not RESUME",
        "a RESUME 2| ! EACCES\n"),
    CASE("a guest may not SET_TARGET",
        "a SET_TARGET 1|2| ! EACCES\n"),
    CASE("a guest may not IS_DOMAIN_INTRODUCED",
        "a IS_DOMAIN_INTRODUCED 2| ! EACCES\n"),
    CASE("a guest may not SET_FEATURE",
        "a SET_FEATURE 9|0| ! EACCES\n"),
    CASE("a guest may not GET_QUOTA",
        "a GET_QUOTA ! EACCES\n"),
    CASE("a guest may not SET_QUOTA",
        "a SET_QUOTA nodes|5| ! EACCES\n"),
    CASE("the initial tree",
        "A DIRECTORY /| = tool|\n" "A DIRECTORY /tool| = xenstored|\n" "A READ /tool| = \n"
        "A READ /| = \n" "A GET_PERMS /tool/xenstored| = n0|\n"),
    CASE("READ without arguments",
        "A READ ! EINVAL\n" "A READ | ! EINVAL\n"),
    CASE("READ of a path without NUL",
        "A READ /a ! EINVAL\n"),
    CASE("READ with two arguments",
        "A READ /a|/b| ! EINVAL\n"),
    CASE("READ of bad paths",
        "A READ //| ! EINVAL\n" "A READ /a/| ! EINVAL\n" "A READ /a//b| ! EINVAL\n"
        "A READ a/| ! EINVAL\n" "A READ /a b| ! EINVAL\n" "A READ /a.b| ! EINVAL\n"
        "A READ /a*| ! EINVAL\n" "A READ /\xc3" "\xa9" "| ! EINVAL\n"),
    CASE("READ of special names",
        "A READ @introduceDomain| ! EINVAL\n" "A READ @foo| ! EINVAL\n"),
    CASE("DIRECTORY without arguments",
        "A DIRECTORY ! EINVAL\n" "A DIRECTORY | ! EINVAL\n"),
    CASE("DIRECTORY of a path without NUL",
        "A DIRECTORY /a ! EINVAL\n"),
    CASE("DIRECTORY with two arguments",
        "A DIRECTORY /a|/b| ! EINVAL\n"),
    CASE("DIRECTORY of bad paths",
        "A DIRECTORY //| ! EINVAL\n" "A DIRECTORY /a/| ! EINVAL\n"
        "A DIRECTORY /a//b| ! EINVAL\n" "A DIRECTORY a/| ! EINVAL\n"
        "A DIRECTORY /a b| ! EINVAL\n" "A DIRECTORY /a.b| ! EINVAL\n"
        "A DIRECTORY /a*| ! EINVAL\n" "A DIRECTORY /\xc3" "\xa9" "| ! EINVAL\n"),
    CASE("DIRECTORY of special names",
        "A DIRECTORY @introduceDomain| ! EINVAL\n" "A DIRECTORY @foo| ! EINVAL\n"),
    CASE("GET_PERMS without arguments",
        "A GET_PERMS ! EINVAL\n" "A GET_PERMS | ! EINVAL\n"),
    CASE("GET_PERMS of a path without NUL",
        "A GET_PERMS /a ! EINVAL\n"),
    CASE("GET_PERMS with two arguments",
        "A GET_PERMS /a|/b| ! EINVAL\n"),
    CASE("GET_PERMS of bad paths",
        "A GET_PERMS //| ! EINVAL\n" "A GET_PERMS /a/| ! EINVAL\n"
        "A GET_PERMS /a//b| ! EINVAL\n" "A GET_PERMS a/| ! EINVAL\n"
        "A GET_PERMS /a b| ! EINVAL\n" "A GET_PERMS /a.b| ! EINVAL\n"
        "A GET_PERMS /a*| ! EINVAL\n" "A GET_PERMS /\xc3" "\xa9" "| ! EINVAL\n"),
    CASE("GET_PERMS of special names",
        "A GET_PERMS @introduceDomain| = n0|\n" "A GET_PERMS @foo| ! EINVAL\n"),
    CASE("MKDIR without arguments",
        "A MKDIR ! EINVAL\n" "A MKDIR | ! EINVAL\n"),
    CASE("MKDIR of a path without NUL",
        "A MKDIR /a ! EINVAL\n"),
    CASE("MKDIR with two arguments",
        "A MKDIR /a|/b| ! EINVAL\n"),
    CASE("MKDIR of bad paths",
        "A MKDIR //| ! EINVAL\n" "A MKDIR /a/| ! EINVAL\n" "A MKDIR /a//b| ! EINVAL\n"
        "A MKDIR a/| ! EINVAL\n" "A MKDIR /a b| ! EINVAL\n" "A MKDIR /a.b| ! EINVAL\n"
        "A MKDIR /a*| ! EINVAL\n" "A MKDIR /\xc3" "\xa9" "| ! EINVAL\n"),
    CASE("MKDIR of special names",
        "A MKDIR @introduceDomain| ! EINVAL\n" "A MKDIR @foo| ! EINVAL\n"),
    CASE("RM without arguments",
        "A RM ! EINVAL\n" "A RM | ! EINVAL\n"),
    CASE("RM of a path without NUL",
        "A RM /a ! EINVAL\n"),
    CASE("RM with two arguments",
        "A RM /a|/b| ! EINVAL\n"),
    CASE("RM of bad paths",
        "A RM //| ! EINVAL\n" "A RM /a/| ! EINVAL\n" "A RM /a//b| ! EINVAL\n"
        "A RM a/| ! EINVAL\n" "A RM /a b| ! EINVAL\n" "A RM /a.b| ! EINVAL\n"
        "A RM /a*| ! EINVAL\n" "A RM /\xc3" "\xa9" "| ! EINVAL\n"),
    CASE("RM of special names",
        "A RM @introduceDomain| ! EINVAL\n" "A RM @foo| ! EINVAL\n"),
    CASE("all characters of a path",
        "A WRITE /abcxyzABCXYZ0189-_@|v = OK|\n" "A READ /abcxyzABCXYZ0189-_@| = v\n"),
    CASE("the longest path",
        "A WRITE /{a*3071}|v = OK|\n" "A READ /{a*3071}| = v\n" "A READ /{a*3072}| ! EINVAL\n"),
    CASE("the deepest path",
        "A WRITE /a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
        "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a|v = OK|\n"
        "A READ /a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
        "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a| = v\n" "A RM /a| = OK|\n"
        "A DIRECTORY /| = tool|\n"),
    CASE("the longest path of a guest",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a READ {b*2048}| ! ENOENT\n" "a READ {b*2049}| ! EINVAL\n"
        "a READ /local/domain/1/{b*2048}| ! ENOENT\n"
        "a READ /local/domain/1/{b*2049}| ! EINVAL\n" "a READ /{b*2047}| ! EACCES\n"
        "a READ /{b*2048}| ! EINVAL\n"),
    CASE("the longest relative path of domain 0",
        "A READ {b*2048}| ! ENOENT\n" "A READ {b*2049}| ! EINVAL\n" "A WRITE {b*2049}|v ! EINVAL\n"
        "A WATCH {b*2049}|t| ! EINVAL\n" "A READ /{b*2048}| ! ENOENT\n"),
    CASE("/local/domain/ is no path",
        "A READ /local/domain/| ! EINVAL\n" "a READ /local/domain/| ! EINVAL\n"
        "A WATCH /local/domain/|t| ! EINVAL\n" "a WRITE /local/domain//x|v ! EINVAL\n"),
    CASE("relative paths of domain 0",
        "A WRITE foo/bar|v = OK|\n" "A READ /local/domain/0/foo/bar| = v\n"
        "A DIRECTORY foo| = bar|\n"),
    CASE("relative paths of a guest",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|1 = OK|\n" "A READ /local/domain/1/x| = 1\n"
        "a READ /local/domain/1/x| = 1\n"),
    CASE("WRITE and READ",
        "A WRITE /a|hello = OK|\n" "A READ /a| = hello\n"),
    CASE("WRITE of nothing",
        "A WRITE /a| = OK|\n" "A READ /a| = \n"),
    CASE("WRITE of NUL bytes",
        "A WRITE /a|x||y| = OK|\n" "A READ /a| = x||y|\n"),
    CASE("WRITE of the longest value",
        "A WRITE /a|{v*4093} = OK|\n" "A READ /a| = {v*4093}\n"),
    CASE("WRITE replaces",
        "A WRITE /a|longer value = OK|\n" "A WRITE /a|x = OK|\n" "A READ /a| = x\n"
        "A WRITE /a|{y*300} = OK|\n" "A READ /a| = {y*300}\n"),
    CASE("WRITE makes parents",
        "A WRITE /p/q/r|v = OK|\n" "A DIRECTORY /p| = q|\n" "A READ /p| = \n"
        "A READ /p/q| = \n"),
    CASE("WRITE without a path",
        "A WRITE ! EINVAL\n" "A WRITE /a ! EINVAL\n" "A WRITE |x ! EINVAL\n"),
    CASE("WRITE of bad paths",
        "A WRITE //|v ! EINVAL\n" "A WRITE /a/|v ! EINVAL\n" "A WRITE /a//b|v ! EINVAL\n"
        "A WRITE @x|v ! EINVAL\n" "A WRITE @releaseDomain|v ! EINVAL\n"
        "A WRITE /a b|v ! EINVAL\n"),
    CASE("WRITE to the root",
        "A WRITE /|top = OK|\n" "A READ /| = top\n" "a WRITE /|x ! EACCES\n"),
    CASE("READ of what is missing",
        "A READ /none| ! ENOENT\n" "A READ /none/at/all| ! ENOENT\n"),
    CASE("what a guest may not read looks as if it might not be there",
        "A WRITE /s|v = OK|\n" "a READ /s| ! EACCES\n" "a READ /none| ! EACCES\n"
        "a READ /s/none| ! EACCES\n" "a READ /| ! EACCES\n"),
    CASE("a guest reads what it may",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r1| = OK|\n" "a READ /s| = v\n"
        "b READ /s| ! EACCES\n" "a READ /s/none| ! ENOENT\n" "b READ /s/none| ! EACCES\n"),
    CASE("a guest writes what it may",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|w1| = OK|\n" "a WRITE /s|w = OK|\n"
        "a READ /s| ! EACCES\n" "A READ /s| = w\n" "b WRITE /s|x ! EACCES\n"),
    CASE("a guest makes nodes where it may",
        "A MKDIR /s| = OK|\n" "A SET_PERMS /s|n0|b1| = OK|\n" "a WRITE /s/x/y|1 = OK|\n"
        "A GET_PERMS /s/x| = n1|b1|\n" "A GET_PERMS /s/x/y| = n1|b1|\n"
        "b WRITE /s/z|1 ! EACCES\n"),
    CASE("a guest cannot write into another's home",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A WRITE /local/domain/2| = OK|\n" "A SET_PERMS /local/domain/2|n2| = OK|\n"
        "a WRITE /local/domain/2/x|v ! EACCES\n" "a MKDIR /local/domain/2/x| ! EACCES\n"
        "a RM /local/domain/2| ! EACCES\n" "b WRITE x|v = OK|\n"),
    CASE("MKDIR",
        "A MKDIR /d| = OK|\n" "A MKDIR /d| = OK|\n" "A READ /d| = \n"
        "A DIRECTORY /| = tool|d|\n"),
    CASE("MKDIR makes parents",
        "A MKDIR /d/e/f| = OK|\n" "A DIRECTORY /d/e| = f|\n"),
    CASE("MKDIR leaves a value",
        "A WRITE /d|v = OK|\n" "A MKDIR /d| = OK|\n" "A READ /d| = v\n"),
    CASE("MKDIR of a guest",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a MKDIR d| = OK|\n" "a MKDIR /d| ! EACCES\n" "a MKDIR /| ! EACCES\n"
        "A GET_PERMS /local/domain/1/d| = n1|\n"),
    CASE("MKDIR needs WRITE even if it is there",
        "A MKDIR /d| = OK|\n" "A SET_PERMS /d|r0| = OK|\n" "a MKDIR /d| ! EACCES\n"),
    CASE("RM",
        "A WRITE /d/e|v = OK|\n" "A RM /d/e| = OK|\n" "A READ /d/e| ! ENOENT\n"
        "A DIRECTORY /d| = \n"),
    CASE("RM of a subtree",
        "A WRITE /d/e/f|v = OK|\n" "A WRITE /d/g|v = OK|\n" "A RM /d| = OK|\n"
        "A READ /d/e/f| ! ENOENT\n" "A READ /d| ! ENOENT\n" "A DIRECTORY /| = tool|\n"),
    CASE("RM of what is missing",
        "A RM /none| = OK|\n" "A RM /none/x| ! ENOENT\n" "A RM /tool/none| = OK|\n"),
    CASE("RM of the root",
        "A RM /| ! EINVAL\n" "a RM /| ! EACCES\n"),
    CASE("RM by a guest",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x/y|v = OK|\n" "a RM x| = OK|\n" "a READ x| ! ENOENT\n" "a RM none| = OK|\n"
        "a RM none/y| ! ENOENT\n" "a RM /tool| ! EACCES\n" "a RM /none| ! EACCES\n"),
    CASE("RM then again",
        "A WRITE /d/e|1 = OK|\n" "A RM /d| = OK|\n" "A WRITE /d|2 = OK|\n"
        "A DIRECTORY /d| = \n" "A READ /d| = 2\n"),
    CASE("RM takes others' nodes beneath",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A MKDIR /local/domain/1/x| = OK|\n" "A SET_PERMS /local/domain/1/x|n0| = OK|\n"
        "A WRITE /local/domain/1/x/y|v = OK|\n" "a RM x| ! EACCES\n"
        "A SET_PERMS /local/domain/1/x|n1| = OK|\n" "a RM x| = OK|\n"
        "A READ /local/domain/1/x/y| ! ENOENT\n"),
    CASE("DIRECTORY in the order of making",
        "A MKDIR /d/c| = OK|\n" "A MKDIR /d/a| = OK|\n" "A MKDIR /d/b| = OK|\n"
        "A DIRECTORY /d| = c|a|b|\n" "A RM /d/a| = OK|\n" "A MKDIR /d/a| = OK|\n"
        "A DIRECTORY /d| = c|b|a|\n"),
    CASE("DIRECTORY of what is missing",
        "A DIRECTORY /none| ! ENOENT\n" "a DIRECTORY /none| ! EACCES\n"
        "a DIRECTORY /| ! EACCES\n"),
    CASE("DIRECTORY that is too long",
        "A MKDIR /d/a{x*1000}| = OK|\n" "A MKDIR /d/b{x*1000}| = OK|\n"
        "A MKDIR /d/c{x*1000}| = OK|\n" "A MKDIR /d/d{x*1000}| = OK|\n"
        "A DIRECTORY /d| = a{x*1000}|b{x*1000}|c{x*1000}|d{x*1000}|\n"
        "A MKDIR /d/e{x*1000}| = OK|\n" "A DIRECTORY /d| ! E2BIG\n"),
    CASE("DIRECTORY_PART",
        "A MKDIR /d/a| = OK|\n" "A MKDIR /d/bb| = OK|\n" "A DIRECTORY_PART /d|0| ?\n"
        "A DIRECTORY_PART /d| ! EINVAL\n" "A DIRECTORY_PART /d|0 ! EINVAL\n"
        "A DIRECTORY_PART ! EINVAL\n" "A DIRECTORY_PART /d|x| ! EINVAL\n"
        "A DIRECTORY_PART /none|0| ! ENOENT\n" "a DIRECTORY_PART /d|0| ! EACCES\n"),
    CASE("GET_PERMS",
        "A WRITE /a|v = OK|\n" "A GET_PERMS /a| = n0|\n" "A GET_PERMS /none| ! ENOENT\n"
        "a GET_PERMS /a| ! EACCES\n"),
    CASE("SET_PERMS",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|r1|w2|b0| = OK|\n"
        "A GET_PERMS /a| = r1|w2|b0|\n"),
    CASE("SET_PERMS of bad permissions",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|x0| ! EINVAL\n" "A SET_PERMS /a|n| ! EINVAL\n"
        "A SET_PERMS /a|0| ! EINVAL\n" "A SET_PERMS /a|n-1| ! EINVAL\n"
        "A SET_PERMS /a|n0x| ! EINVAL\n" "A SET_PERMS /a|rr0| ! EINVAL\n"
        "A SET_PERMS /a|n 0| ! EINVAL\n" "A SET_PERMS /a|N0| ! EINVAL\n"
        "A SET_PERMS /a|n70000| ! EINVAL\n" "A SET_PERMS /a| ! EINVAL\n"
        "A SET_PERMS ! EINVAL\n" "A GET_PERMS /a| = n0|\n"),
    CASE("SET_PERMS drops what has no NUL",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|n0|r1|w2 = OK|\n" "A GET_PERMS /a| = n0|r1|\n"),
    CASE("SET_PERMS to an unknown owner",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|n9| ! ENOENT\n" "A SET_PERMS /a|n0|r9| = OK|\n"
        "A GET_PERMS /a| = n0|r9|\n"),
    CASE("SET_PERMS of what is missing",
        "A SET_PERMS /none|n0| ! ENOENT\n" "a SET_PERMS /none|n1| ! EACCES\n"),
    CASE("SET_PERMS of a guest",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|v = OK|\n" "a SET_PERMS x|n1|r2| = OK|\n" "b READ /local/domain/1/x| = v\n"
        "a SET_PERMS x|n2| ! EPERM\n" "a SET_PERMS x|n0| ! EPERM\n"
        "a SET_PERMS /tool|n0| ! EACCES\n"),
    CASE("SET_PERMS needs ownership",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|b1| = OK|\n"
        "a SET_PERMS /s|n0|b1|r2| ! EACCES\n" "a SET_PERMS /s|n1| ! EACCES\n"),
    CASE("SET_PERMS of a guest: at most five",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|v = OK|\n" "a SET_PERMS x|n1|r2|r3|r4|r5| = OK|\n"
        "a SET_PERMS x|n1|r2|r3|r4|r5|r6| ! ENOSPC\n"
        "A SET_PERMS /local/domain/1/x|n1|r2|r3|r4|r5|r6| = OK|\n"),
    CASE("the default letter is for those not listed",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|r0|n1| = OK|\n" "a READ /a| ! EACCES\n"
        "b READ /a| = v\n" "A SET_PERMS /a|b0|r1| = OK|\n" "b WRITE /a|w = OK|\n"
        "a WRITE /a|x ! EACCES\n" "a READ /a| = w\n"),
    CASE("the first entry that fits counts",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|n0|r1|b1| = OK|\n" "a WRITE /a|x ! EACCES\n"
        "a READ /a| = v\n"),
    CASE("the owner may do all",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|v = OK|\n" "a SET_PERMS x|n1| = OK|\n" "a READ x| = v\n"
        "a WRITE x|w = OK|\n"),
    CASE("an entry for any domain",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|n0|r32757| = OK|\n" "a READ /a| = v\n"
        "b READ /a| = v\n" "a WRITE /a|x ! EACCES\n"),
    CASE("domids in other bases",
        "A WRITE /a|v = OK|\n" "A SET_PERMS /a|n0|r0x1|r02| = OK|\n"
        "A GET_PERMS /a| = n0|r1|r2|\n"),
    CASE("permissions are inherited",
        "A MKDIR /p| = OK|\n" "A SET_PERMS /p|n1|r2| = OK|\n" "A WRITE /p/q|v = OK|\n"
        "A GET_PERMS /p/q| = n1|r2|\n" "a WRITE /p/r|v = OK|\n" "A GET_PERMS /p/r| = n1|r2|\n"),
    CASE("permissions of special names",
        "A GET_PERMS @releaseDomain| = n0|r32757|\n" "a GET_PERMS @introduceDomain| ! EACCES\n"
        "a GET_PERMS @releaseDomain| = n0|r32757|\n"
        "A SET_PERMS @introduceDomain|n0|r1| = OK|\n" "A GET_PERMS @introduceDomain| = n0|r1|\n"
        "a SET_PERMS @introduceDomain|n0|r1| ! EACCES\n" "A SET_PERMS @foo|n0| ! EINVAL\n"
        "A GET_PERMS @foo| ! EINVAL\n"),
    CASE("special names in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 SET_PERMS @introduceDomain|n0|r2| = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n" "A GET_PERMS @introduceDomain| = n0|r2|\n"),
    CASE("WATCH: OK, then one event",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A < -\n"),
    CASE("WATCH of a relative path",
        "A WATCH foo|t| = OK|\n" "A < @ foo|t|\n" "B WRITE /local/domain/0/foo/x|v = OK|\n"
        "A < @ foo/x|t|\n" "B WRITE foo|v = OK|\n" "A < @ foo|t|\n"),
    CASE("WATCH without arguments",
        "A WATCH ! EINVAL\n" "A WATCH /a| ! EINVAL\n" "A WATCH /a|t ! EINVAL\n"
        "A WATCH /a|t|0|x| ! EINVAL\n"),
    CASE("WATCH of bad paths",
        "A WATCH //|t| ! EINVAL\n" "A WATCH /a/|t| ! EINVAL\n" "A WATCH |t| ! EINVAL\n"
        "A WATCH /a b|t| ! EINVAL\n" "A WATCH @{x*2048}|t| ! EINVAL\n"),
    CASE("WATCH twice",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A WATCH /a|t| ! EEXIST\n"
        "A WATCH /a|u| = OK|\n" "A < @ /a|u|\n" "A WATCH /b|t| = OK|\n" "A < @ /b|t|\n"
        "A WATCH /local/domain/0/x|t| = OK|\n" "A < @ /local/domain/0/x|t|\n"
        "A WATCH x|t| ! EEXIST\n"),
    CASE("WATCH with an empty token",
        "A WATCH /a|| = OK|\n" "A < @ /a||\n" "A UNWATCH /a|| = OK|\n"),
    CASE("WATCH with an unknown transaction id",
        "A.99 WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A.99 UNWATCH /a|t| = OK|\n"),
    CASE("a watch fires on WRITE, also of the same",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B WRITE /a|v = OK|\n" "A < @ /a|t|\n"
        "B WRITE /a|v = OK|\n" "A < @ /a|t|\n"),
    CASE("a watch fires for what is beneath",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B WRITE /a/b/c|v = OK|\n" "A < @ /a/b/c|t|\n"
        "A < -\n" "B WRITE /ab|v = OK|\n" "A < -\n"),
    CASE("a watch of the root fires for all",
        "A WATCH /|t| = OK|\n" "A < @ /|t|\n" "B WRITE /x/y|v = OK|\n" "A < @ /x/y|t|\n"
        "A < -\n"),
    CASE("one event for a path with new parents",
        "A WATCH /|t| = OK|\n" "A < @ /|t|\n" "A WATCH /p|u| = OK|\n" "A < @ /p|u|\n"
        "B MKDIR /p/q/r| = OK|\n" "A < @ /p/q/r|t|\n" "A < @ /p/q/r|u|\n" "A < -\n"),
    CASE("MKDIR of what is there fires nothing",
        "A MKDIR /d| = OK|\n" "A WATCH /d|t| = OK|\n" "A < @ /d|t|\n" "A MKDIR /d| = OK|\n"
        "A < -\n"),
    CASE("RM fires",
        "A WRITE /a/b|v = OK|\n" "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B RM /a/b| = OK|\n"
        "A < @ /a/b|t|\n" "B RM /a/b| = OK|\n" "A < -\n"),
    CASE("RM of a subtree: exact below, children first",
        "A WRITE /a/b/c|v = OK|\n" "A WATCH /a/b/c|1| = OK|\n" "A < @ /a/b/c|1|\n"
        "A WATCH /a/b|2| = OK|\n" "A < @ /a/b|2|\n" "A WATCH /a|3| = OK|\n" "A < @ /a|3|\n"
        "A WATCH /|4| = OK|\n" "A < @ /|4|\n" "A WATCH /a/none|5| = OK|\n" "A < @ /a/none|5|\n"
        "B RM /a| = OK|\n" "A < @ /a/b/c|1|\n" "A < @ /a/b|2|\n" "A < @ /a|3|\n" "A < @ /a|4|\n"
        "A < -\n"),
    CASE("what a transaction makes and removes fires nothing",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B TRANSACTION_START | = 1|\n"
        "B.1 WRITE /a|v = OK|\n" "B.1 SET_PERMS /a|n0|r1| = OK|\n" "B.1 RM /a| = OK|\n"
        "B.1 TRANSACTION_END T| = OK|\n" "A < -\n" "B TRANSACTION_START | = 2|\n"
        "B.2 WRITE /a/b/c|v = OK|\n" "B.2 RM /a| = OK|\n" "B.2 TRANSACTION_END T| = OK|\n"
        "A < -\n"),
    CASE("what a transaction makes and removes beside what stays",
        "B WRITE /a/d|v = OK|\n" "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n"
        "B TRANSACTION_START | = 1|\n" "B.1 WRITE /a/b/c|v = OK|\n" "B.1 RM /a/b/c| = OK|\n"
        "B.1 WRITE /a/d|w = OK|\n" "B.1 TRANSACTION_END T| = OK|\n" "A < @ /a/d|t|\n"
        "A < -\n" "B DIRECTORY /a| = d|b|\n"),
    CASE("what was there fires when a transaction has made it anew",
        "B WRITE /a|v = OK|\n" "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n"
        "B TRANSACTION_START | = 1|\n" "B.1 RM /a| = OK|\n" "B.1 WRITE /a|w = OK|\n"
        "B.1 TRANSACTION_END T| = OK|\n" "A < @ /a|t|\n" "A < -\n"
        "B TRANSACTION_START | = 2|\n" "B.2 RM /a| = OK|\n" "B.2 WRITE /a|w = OK|\n"
        "B.2 RM /a| = OK|\n" "B.2 TRANSACTION_END T| = OK|\n" "A < @ /a|t|\n" "A < -\n"),
    CASE("SET_PERMS fires",
        "A WRITE /a|v = OK|\n" "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n"
        "B SET_PERMS /a|n0|r1| = OK|\n" "A < @ /a|t|\n"),
    CASE("own events come before the reply",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A WRITE /a|v\n" "A < @ /a|t|\n" "A < = OK|\n"
        "A RM /a|\n" "A < @ /a|t|\n" "A < = OK|\n" "A MKDIR /a|\n" "A < @ /a|t|\n" "A < = OK|\n"
        "A SET_PERMS /a|n0|\n" "A < @ /a|t|\n" "A < = OK|\n"),
    CASE("events in the order of the watches",
        "A WATCH /a/b|1| = OK|\n" "A < @ /a/b|1|\n" "A WATCH /|2| = OK|\n" "A < @ /|2|\n"
        "A WATCH /a/b|3| = OK|\n" "A < @ /a/b|3|\n" "A WATCH /a|4| = OK|\n" "A < @ /a|4|\n"
        "B WRITE /a/b|v = OK|\n" "A < @ /a/b|1|\n" "A < @ /a/b|2|\n" "A < @ /a/b|3|\n"
        "A < @ /a/b|4|\n"),
    CASE("equal events are told once",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B WRITE /a|1 = OK|\n" "B WRITE /a|2 = OK|\n"
        "B WRITE /a/x|2 = OK|\n" "B WRITE /a|3 = OK|\n" "A < @ /a|t|\n" "A < @ /a/x|t|\n"
        "A < -\n" "B WRITE /a|4 = OK|\n" "A < @ /a|t|\n"),
    CASE("WATCH depth 0",
        "A WATCH /a|t|0| = OK|\n" "A < @ /a|t|\n" "B WRITE /a/b|v = OK|\n" "A < -\n"
        "B WRITE /a|v = OK|\n" "A < @ /a|t|\n"),
    CASE("WATCH depth 1",
        "A WATCH /a|t|1| = OK|\n" "A < @ /a|t|\n" "B WRITE /a/b/c|v = OK|\n" "A < -\n"
        "B WRITE /a/b|v = OK|\n" "A < @ /a/b|t|\n"),
    CASE("WATCH depth that is none",
        "A WATCH /a|t|x| ! EINVAL\n" "A WATCH /a|t|-1| ! EINVAL\n" "A WATCH /a|t|| ! EINVAL\n"),
    CASE("UNWATCH",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A UNWATCH /a|t| = OK|\n" "B WRITE /a|v = OK|\n"
        "A < -\n" "A UNWATCH /a|t| ! ENOENT\n"),
    CASE("UNWATCH of what is not",
        "A UNWATCH /a|t| ! ENOENT\n" "A UNWATCH ! EINVAL\n" "A UNWATCH /a| ! EINVAL\n"
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A UNWATCH /a|u| ! ENOENT\n"
        "B UNWATCH /a|t| ! ENOENT\n" "A UNWATCH /a/b|t| ! ENOENT\n"
        "A UNWATCH /a/|t| ! ENOENT\n"),
    CASE("RESET_WATCHES",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A TRANSACTION_START | = 1|\n"
        "A RESET_WATCHES | = OK|\n" "B WRITE /a|v = OK|\n" "A < -\n" "A.1 READ /a| ! ENOENT\n"),
    CASE("RESET_WATCHES in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 WRITE /z|v = OK|\n" "A.1 RESET_WATCHES | = OK|\n"
        "A.1 TRANSACTION_END T| ! ENOENT\n" "A READ /z| ! ENOENT\n"),
    CASE("a watch of what a guest may not read",
        "A WRITE /s|v = OK|\n" "a WATCH /s|t| = OK|\n" "a < @ /s|t|\n" "A WRITE /s|w = OK|\n"
        "a < -\n" "A SET_PERMS /s|n0|r1| = OK|\n" "a < @ /s|t|\n" "A WRITE /s|x = OK|\n"
        "a < @ /s|t|\n" "A SET_PERMS /s|n0| = OK|\n" "a < @ /s|t|\n" "A WRITE /s|y = OK|\n"
        "a < -\n"),
    CASE("a guest hears of children of what it may read",
        "A MKDIR /s| = OK|\n" "A SET_PERMS /s|n0|r1| = OK|\n" "A WRITE /s/x|1 = OK|\n"
        "A SET_PERMS /s/x|n0| = OK|\n" "a WATCH /s|t| = OK|\n" "a < @ /s|t|\n"
        "A WRITE /s/x|2 = OK|\n" "a < @ /s/x|t|\n" "A WRITE /s/x/y|2 = OK|\n" "a < -\n"
        "A RM /s/x| = OK|\n" "a < @ /s/x|t|\n" "a < -\n"),
    CASE("special watches",
        "A WATCH @introduceDomain|i| = OK|\n" "A < @ @introduceDomain|i|\n"
        "A WATCH @releaseDomain|r| = OK|\n" "A < @ @releaseDomain|r|\n"
        "B INTRODUCE 7|1|1| = OK|\n" "A < @ @introduceDomain|i|\n" "B RELEASE 7| = OK|\n"
        "A < @ @releaseDomain|r|\n" "A < -\n"),
    CASE("special watches with a depth tell the domain",
        "A WATCH @introduceDomain|i|1| = OK|\n" "A < @ @introduceDomain|i|\n"
        "A WATCH @releaseDomain|r|1| = OK|\n" "A < @ @releaseDomain|r|\n"
        "B INTRODUCE 7|1|1| = OK|\n" "A < @ @introduceDomain/7|i|\n" "B RELEASE 7| = OK|\n"
        "A < @ @releaseDomain/7|r|\n"),
    CASE("special watches of one domain",
        "A WATCH @releaseDomain/7|r| = OK|\n" "A < @ @releaseDomain/7|r|\n"
        "A WATCH @introduceDomain/7|i|0| = OK|\n" "A < @ @introduceDomain/7|i|\n"
        "a WATCH @releaseDomain/7|g| = OK|\n" "a < @ @releaseDomain/7|g|\n"
        "a WATCH @introduceDomain/7|g| = OK|\n" "a < @ @introduceDomain/7|g|\n"
        "B INTRODUCE 70|1|1| = OK|\n" "B RELEASE 70| = OK|\n" "A < -\n"
        "B INTRODUCE 7|1|1| = OK|\n" "A < @ @introduceDomain/7|i|\n" "A < -\n"
        "B RELEASE 7| = OK|\n" "A < @ @releaseDomain/7|r|\n" "A < -\n"
        "a < @ @releaseDomain/7|g|\n" "a < -\n"),
    CASE("special watches of guests",
        "a WATCH @introduceDomain|i| = OK|\n" "a < @ @introduceDomain|i|\n"
        "a WATCH @releaseDomain|r| = OK|\n" "a < @ @releaseDomain|r|\n"
        "A INTRODUCE 7|1|1| = OK|\n" "a < -\n" "A RELEASE 7| = OK|\n"
        "a < @ @releaseDomain|r|\n" "A SET_PERMS @introduceDomain|n0|r1| = OK|\n"
        "A INTRODUCE 8|1|1| = OK|\n" "a < @ @introduceDomain|i|\n"),
    CASE("a watch of any other special name never fires",
        "A WATCH @foo|t| = OK|\n" "A < @ @foo|t|\n" "A WRITE /x|v = OK|\n"
        "A INTRODUCE 7|1|1| = OK|\n" "A < -\n" "A UNWATCH @foo|t| = OK|\n"),
    CASE("a special name is no path",
        "A WATCH /@releaseDomain|t| = OK|\n" "A < @ /@releaseDomain|t|\n"
        "A WATCH @releaseDomain|t| = OK|\n" "A < @ @releaseDomain|t|\n"
        "B WRITE /@releaseDomain/x|v = OK|\n" "A < @ /@releaseDomain/x|t|\n" "A < -\n"
        "B INTRODUCE 7|1|1| = OK|\n" "B RELEASE 7| = OK|\n" "A < @ @releaseDomain|t|\n"
        "A < -\n" "A UNWATCH @releaseDomain|t| = OK|\n" "A UNWATCH @releaseDomain|t| ! ENOENT\n"
        "A UNWATCH /@releaseDomain|t| = OK|\n"),
    CASE("a long token",
        "A WATCH /a|{t*4000}| = OK|\n" "A < @ /a|{t*4000}|\n" "B WRITE /a/{b*2000}|v = OK|\n"
        "A < -\n" "B WRITE /a|v = OK|\n" "A < @ /a|{t*4000}|\n"),
    CASE("TRANSACTION_START",
        "A TRANSACTION_START | = 1|\n" "A TRANSACTION_START | = 2|\n"
        "A.1 TRANSACTION_START | ! EBUSY\n" "A.9 TRANSACTION_START | ! ENOENT\n"
        "B TRANSACTION_START | = 1|\n"),
    CASE("TRANSACTION_START with nothing",
        "A TRANSACTION_START = 1|\n"),
    CASE("TRANSACTION_END arguments",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END X| ! EINVAL\n"
        "A.1 TRANSACTION_END ! EINVAL\n" "A.1 TRANSACTION_END T ! EINVAL\n"
        "A.1 TRANSACTION_END T| = OK|\n" "A.1 TRANSACTION_END T| ! ENOENT\n"
        "A TRANSACTION_END T| ! ENOENT\n" "A TRANSACTION_END X| ! EINVAL\n"),
    CASE("a transaction of another connection",
        "A TRANSACTION_START | = 1|\n" "B.1 READ /tool| ! ENOENT\n"
        "B.1 TRANSACTION_END T| ! ENOENT\n"),
    CASE("commit",
        "A TRANSACTION_START | = 1|\n" "A.1 WRITE /a|v = OK|\n" "A.1 READ /a| = v\n"
        "B READ /a| ! ENOENT\n" "A.1 TRANSACTION_END T| = OK|\n" "B READ /a| = v\n"),
    CASE("abort",
        "A TRANSACTION_START | = 1|\n" "A.1 WRITE /a|v = OK|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A READ /a| ! ENOENT\n"),
    CASE("an empty transaction",
        "A TRANSACTION_START | = 1|\n" "B WRITE /a|v = OK|\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("transaction: read, written outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B WRITE /a|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: read, written outside to the same value",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B WRITE /a|0 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: blind write, written outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 WRITE /a|2 = OK|\n"
        "B WRITE /a|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: read, sibling written outside",
        "B WRITE /d/a|0 = OK|\n" "B WRITE /d/b|0 = OK|\n" "A TRANSACTION_START | = 1|\n"
        "A.1 READ /d/a| = 0\n" "B WRITE /d/b|1 = OK|\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("transaction: list, child made outside",
        "B WRITE /d/a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 DIRECTORY /d| = a|\n"
        "B WRITE /d/b|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: list, child removed outside",
        "B WRITE /d/a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 DIRECTORY /d| = a|\n"
        "B RM /d/a| = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: list, child's value changed outside",
        "B WRITE /d/a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 DIRECTORY /d| = a|\n"
        "B WRITE /d/a|1 = OK|\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("transaction: read of what is missing, made outside",
        "A TRANSACTION_START | = 1|\n" "A.1 READ /n| ! ENOENT\n" "B WRITE /n|1 = OK|\n"
        "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: unrelated",
        "B WRITE /a|0 = OK|\n" "B WRITE /x/y|0 = OK|\n" "A TRANSACTION_START | = 1|\n"
        "A.1 READ /a| = 0\n" "A.1 WRITE /a|1 = OK|\n" "B WRITE /x/y|1 = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("transaction: read, permissions changed outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B SET_PERMS /a|n0|r1| = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: read, removed outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B RM /a| = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: read, removed and made again outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B RM /a| = OK|\n" "B WRITE /a|0 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: both make in one directory",
        "B MKDIR /d| = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 WRITE /d/x|1 = OK|\n"
        "B WRITE /d/y|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: removal, child's value changed outside",
        "B WRITE /d/a/b|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 RM /d| = OK|\n"
        "B WRITE /d/a/b|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: removal, child made deep below outside",
        "B WRITE /d/a/b|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 RM /d| = OK|\n"
        "B WRITE /d/a/b/c|1 = OK|\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("transaction: removal, sibling written outside",
        "B WRITE /d/a|0 = OK|\n" "B WRITE /d/b|0 = OK|\n" "A TRANSACTION_START | = 1|\n"
        "A.1 RM /d/a| = OK|\n" "B WRITE /d/b|1 = OK|\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("transaction: read, failed write outside",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "a WRITE /a|1 ! EACCES\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("a transaction reads what it touches first, live",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "B WRITE /a|1 = OK|\n"
        "A.1 READ /a| = 1\n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("a transaction reads twice the same",
        "B WRITE /a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 READ /a| = 0\n"
        "B WRITE /a|1 = OK|\n" "A.1 READ /a| = 0\n" "A.1 TRANSACTION_END T| ! EAGAIN\n"
        "A READ /a| = 1\n"),
    CASE("a transaction lists twice the same",
        "B WRITE /d/a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 DIRECTORY /d| = a|\n"
        "B WRITE /d/b|1 = OK|\n" "A.1 DIRECTORY /d| = a|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A DIRECTORY /d| = a|b|\n"),
    CASE("a transaction sees its own changes",
        "A WRITE /d/a|0 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 WRITE /d/b/c|1 = OK|\n"
        "A.1 RM /d/a| = OK|\n" "A.1 DIRECTORY /d| = b|\n" "A.1 READ /d/a| ! ENOENT\n"
        "A.1 READ /d/b/c| = 1\n" "A.1 SET_PERMS /d/b|n0|r1| = OK|\n"
        "A.1 GET_PERMS /d/b| = n0|r1|\n" "B DIRECTORY /d| = a|\n"
        "A.1 TRANSACTION_END T| = OK|\n" "B DIRECTORY /d| = b|\n" "B GET_PERMS /d/b| = n0|r1|\n"
        "B READ /d/b/c| = 1\n"),
    CASE("a transaction removes a subtree and makes it anew",
        "A WRITE /d/a/b|0 = OK|\n" "A WRITE /d/c|0 = OK|\n" "A TRANSACTION_START | = 1|\n"
        "A.1 RM /d| = OK|\n" "A.1 READ /d/a/b| ! ENOENT\n" "A.1 WRITE /d/a|2 = OK|\n"
        "A.1 DIRECTORY /d| = a|\n" "A.1 DIRECTORY /d/a| = \n" "A.1 READ /d/c| ! ENOENT\n"
        "A.1 TRANSACTION_END T| = OK|\n" "A DIRECTORY /d| = a|\n" "A READ /d/a| = 2\n"
        "A DIRECTORY /d/a| = \n"),
    CASE("a transaction makes and removes",
        "A TRANSACTION_START | = 1|\n" "A.1 WRITE /d/a|1 = OK|\n" "A.1 RM /d/a| = OK|\n"
        "A.1 DIRECTORY /d| = \n" "A.1 TRANSACTION_END T| = OK|\n" "A DIRECTORY /d| = \n"),
    CASE("RM in a transaction",
        "A WRITE /d/a|1 = OK|\n" "A TRANSACTION_START | = 1|\n" "A.1 RM /none| = OK|\n"
        "A.1 RM /none/x| ! ENOENT\n" "A.1 RM /| ! EINVAL\n" "A.1 RM /d/a| = OK|\n"
        "A.1 RM /d/a| = OK|\n" "A.1 TRANSACTION_END T| = OK|\n" "A DIRECTORY /d| = \n"),
    CASE("events of a transaction come at its commit",
        "A WATCH /|t| = OK|\n" "A < @ /|t|\n" "B TRANSACTION_START | = 1|\n"
        "B.1 WRITE /a|1 = OK|\n" "B.1 WRITE /a|2 = OK|\n" "B.1 WRITE /b/c|2 = OK|\n" "A < -\n"
        "B.1 TRANSACTION_END T| = OK|\n" "A < @ /a|t|\n" "A < @ /b/c|t|\n" "A < -\n"),
    CASE("an aborted or failed transaction fires nothing",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "B TRANSACTION_START | = 1|\n"
        "B.1 WRITE /a/b|1 = OK|\n" "B.1 TRANSACTION_END F| = OK|\n" "A < -\n"
        "B TRANSACTION_START | = 2|\n" "B.2 WRITE /a/b|1 = OK|\n" "A WRITE /x|1 = OK|\n"
        "B.2 TRANSACTION_END T| ! EAGAIN\n" "A < -\n"),
    CASE("own events of a commit come before its reply",
        "A WATCH /a|t| = OK|\n" "A < @ /a|t|\n" "A TRANSACTION_START | = 1|\n"
        "A.1 WRITE /a|1 = OK|\n" "A.1 TRANSACTION_END T|\n" "A < @ /a|t|\n" "A < = OK|\n"),
    CASE("removal in a transaction fires as outside",
        "A WRITE /a/b/c|v = OK|\n" "A WATCH /a/b/c|1| = OK|\n" "A < @ /a/b/c|1|\n"
        "A WATCH /|4| = OK|\n" "A < @ /|4|\n" "B TRANSACTION_START | = 1|\n"
        "B.1 RM /a| = OK|\n" "B.1 TRANSACTION_END T| = OK|\n" "A < @ /a/b/c|1|\n"
        "A < @ /a|4|\n" "A < -\n"),
    CASE("permissions in a transaction",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a TRANSACTION_START | = 1|\n" "a.1 WRITE x|v = OK|\n" "a.1 WRITE /tool|v ! EACCES\n"
        "a.1 READ /tool| ! EACCES\n" "a.1 SET_PERMS x|n1|r2| = OK|\n"
        "a.1 SET_PERMS x|n2| ! EPERM\n" "a.1 TRANSACTION_END T| = OK|\n"
        "b READ /local/domain/1/x| = v\n"),
    CASE("a guest may have ten transactions",
        "a TRANSACTION_START | = 1|\n" "a TRANSACTION_START | = 2|\n"
        "a TRANSACTION_START | = 3|\n" "a TRANSACTION_START | = 4|\n"
        "a TRANSACTION_START | = 5|\n" "a TRANSACTION_START | = 6|\n"
        "a TRANSACTION_START | = 7|\n" "a TRANSACTION_START | = 8|\n"
        "a TRANSACTION_START | = 9|\n" "a TRANSACTION_START | = 10|\n"
        "a TRANSACTION_START | ! ENOSPC\n" "a.3 TRANSACTION_END F| = OK|\n"
        "a TRANSACTION_START | = 11|\n"),
    CASE("GET_DOMAIN_PATH in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 GET_DOMAIN_PATH 3| = /local/domain/3|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("GET_DOMAIN_PATH",
        "A GET_DOMAIN_PATH 0| = /local/domain/0|\n"
        "a GET_DOMAIN_PATH 12345| = /local/domain/12345|\n" "A GET_DOMAIN_PATH ! EINVAL\n"
        "A GET_DOMAIN_PATH x| ! EINVAL\n" "A GET_DOMAIN_PATH 1 ! EINVAL\n"),
    CASE("INTRODUCE",
        "A IS_DOMAIN_INTRODUCED 7| = F|\n" "A INTRODUCE 7|1|5| = OK|\n"
        "A IS_DOMAIN_INTRODUCED 7| = T|\n" "A INTRODUCE 7|1|6| = OK|\n" "A RELEASE 7| = OK|\n"
        "A IS_DOMAIN_INTRODUCED 7| = F|\n"),
    CASE("INTRODUCE with bad arguments",
        "A INTRODUCE ! EINVAL\n" "A INTRODUCE 7| ! EINVAL\n" "A INTRODUCE 7|1| ! EINVAL\n"
        "A INTRODUCE 7|1|0| ! EINVAL\n" "A INTRODUCE 0|1|1| ! EINVAL\n"
        "A INTRODUCE x|1|1| ! EINVAL\n" "A INTRODUCE 32752|1|1| ! EINVAL\n"
        "A INTRODUCE 7|1|x| ! EINVAL\n" "A INTRODUCE 7|-|1| ! EINVAL\n"
        "A INTRODUCE 7|--1|1| ! EINVAL\n"),
    CASE("INTRODUCE: the frame is a signed number",
        "A INTRODUCE 7|-2147483648|1| = OK|\n" "A IS_DOMAIN_INTRODUCED 7| = T|\n"),
    CASE("INTRODUCE: own event before the reply, once",
        "A WATCH @introduceDomain|t| = OK|\n" "A < @ @introduceDomain|t|\n"
        "A INTRODUCE 7|1|1|\n" "A < @ @introduceDomain|t|\n" "A < = OK|\n"
        "A INTRODUCE 7|1|1| = OK|\n"),
    CASE("RELEASE with bad arguments",
        "A RELEASE ! EINVAL\n" "A RELEASE 0| ! EINVAL\n" "A RELEASE 9| ! ENOENT\n"
        "A RELEASE x| ! EINVAL\n" "A RELEASE 32752| ! EINVAL\n"),
    CASE("RELEASE twice",
        "A RELEASE 2| = OK|\n" "A RELEASE 2| ! ENOENT\n"),
    CASE("RELEASE takes the domain's nodes",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x/y|v = OK|\n" "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r1|r2| = OK|\n"
        "A RELEASE 1| = OK|\n" "A READ /local/domain/1| ! ENOENT\n" "A GET_PERMS /s| = n0|r2|\n"),
    CASE("RELEASE fires for the nodes that go",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|v = OK|\n" "A WATCH /local/domain/1/x|t| = OK|\n"
        "A < @ /local/domain/1/x|t|\n" "B RELEASE 1| = OK|\n" "A < @ /local/domain/1/x|t|\n"),
    CASE("a new domain inherits nothing",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r3| = OK|\n" "A INTRODUCE 3|1|1| = OK|\n"
        "c READ /s| ! EACCES\n" "A SET_PERMS /s|n0|r3| = OK|\n" "c READ /s| = v\n"),
    CASE("RESUME",
        "A RESUME 1| = OK|\n" "A RESUME 9| ! ENOENT\n" "A RESUME ! EINVAL\n"
        "A RESUME 0| ! EINVAL\n"),
    CASE("IS_DOMAIN_INTRODUCED",
        "A IS_DOMAIN_INTRODUCED 1| = T|\n" "A IS_DOMAIN_INTRODUCED 0| = T|\n"
        "A IS_DOMAIN_INTRODUCED 32752| = T|\n" "A IS_DOMAIN_INTRODUCED 99| = F|\n"
        "A IS_DOMAIN_INTRODUCED 65536| = F|\n" "A IS_DOMAIN_INTRODUCED 4294967295| = F|\n"
        "A IS_DOMAIN_INTRODUCED 4294967296| ! EINVAL\n"
        "A IS_DOMAIN_INTRODUCED ! EINVAL\n" "A IS_DOMAIN_INTRODUCED x| ! EINVAL\n"),
    CASE("SET_TARGET",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n2| = OK|\n" "a READ /s| ! EACCES\n"
        "A SET_TARGET 1|2| = OK|\n" "a READ /s| = v\n" "a WRITE /s|w = OK|\n"
        "a SET_PERMS /s|n2|r1| = OK|\n" "b READ /s| = w\n"),
    CASE("SET_TARGET by entry",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r2| = OK|\n" "A SET_TARGET 1|2| = OK|\n"
        "a READ /s| = v\n" "a WRITE /s|x ! EACCES\n"),
    CASE("SET_TARGET with bad arguments",
        "A SET_TARGET ! EINVAL\n" "A SET_TARGET 1| ! EINVAL\n" "A SET_TARGET 9|1| ! ENOENT\n"
        "A SET_TARGET 1|9| ! ENOENT\n" "A SET_TARGET 1|0| ! EINVAL\n"),
    CASE("GET_FEATURE",
        "A GET_FEATURE = 15|\n" "a GET_FEATURE = 15|\n" "A GET_FEATURE 1| = 15|\n"
        "a GET_FEATURE 2| ! EACCES\n" "A GET_FEATURE 99| ! ENOENT\n"
        "A GET_FEATURE x| ! EINVAL\n" "A GET_FEATURE 1 ! EINVAL\n"),
    CASE("a depth is for domains that have the feature",
        "A SET_FEATURE 3|11| = OK|\n" "A INTRODUCE 3|1|1| = OK|\n"
        "c WATCH x|t|0| ! EINVAL\n" "c WATCH x|t| = OK|\n" "c < @ x|t|\n" "c < -\n"
        "a WATCH x|t|0| = OK|\n" "a < @ x|t|\n"),
    CASE("SET_FEATURE",
        "A SET_FEATURE 9|4| = OK|\n" "A GET_FEATURE 9| = 4|\n" "A INTRODUCE 9|1|1| = OK|\n"
        "A SET_FEATURE 9|0| ! EBUSY\n" "A SET_FEATURE 1|0| ! EBUSY\n"
        "A SET_FEATURE 10|16| ! EINVAL\n" "A SET_FEATURE 10| ! EINVAL\n"
        "A SET_FEATURE ! EINVAL\n" "A SET_FEATURE 0|1| ! EBUSY\n"),
    CASE("GET_QUOTA lists",
        "A GET_QUOTA = nodes watches transactions outstanding transaction-nodes memory no"
        "de-size path-max node-permissions soft-memory|\n"),
    CASE("GET_QUOTA",
        "A GET_QUOTA nodes| = 1000|\n" "A GET_QUOTA soft-memory| = 2097152|\n"
        "A GET_QUOTA 1|watches| = 128|\n" "A GET_QUOTA none| ! EINVAL\n"
        "A GET_QUOTA 99|nodes| ! ENOENT\n" "A GET_QUOTA x|nodes| ! EINVAL\n"
        "A GET_QUOTA 1|nodes|x| ! EINVAL\n" "A GET_QUOTA soft-nodes| ! EINVAL\n"),
    CASE("SET_QUOTA",
        "A SET_QUOTA nodes|500| = OK|\n" "A GET_QUOTA nodes| = 500|\n"
        "A GET_QUOTA 1|nodes| = 500|\n" "A SET_QUOTA 1|nodes|7| = OK|\n"
        "A GET_QUOTA 1|nodes| = 7|\n" "A GET_QUOTA 2|nodes| = 500|\n"
        "A SET_QUOTA soft-memory|99| = OK|\n" "A GET_QUOTA soft-memory| = 99|\n"
        "A SET_QUOTA none|1| ! EINVAL\n" "A SET_QUOTA nodes|x| ! EINVAL\n"
        "A SET_QUOTA nodes|99999999999| ! EINVAL\n" "A SET_QUOTA nodes| ! EINVAL\n"
        "A SET_QUOTA ! EINVAL\n" "A SET_QUOTA 99|nodes|1| ! ENOENT\n"),
    CASE("the quota of nodes",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a|1 = OK|\n" "a WRITE b|1 = OK|\n"
        "a WRITE c|1 ! ENOSPC\n" "a WRITE b|2 = OK|\n" "a RM b| = OK|\n" "a WRITE c|1 = OK|\n"
        "a MKDIR d| ! ENOSPC\n"),
    CASE("the quota of nodes counts parents",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a/b/c|1 ! ENOSPC\n" "a READ a| ! ENOENT\n"
        "a WRITE a/b|1 = OK|\n"),
    CASE("the quota of nodes gives back a subtree",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|4| = OK|\n" "a WRITE a/b/c|1 = OK|\n" "a WRITE d|1 ! ENOSPC\n"
        "a RM a| = OK|\n" "a WRITE d/e/f|1 = OK|\n"),
    CASE("the quota of nodes in transactions",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a TRANSACTION_START | = 1|\n" "a.1 WRITE a|1 = OK|\n"
        "a.1 WRITE b|1 = OK|\n" "a.1 WRITE c|1 ! ENOSPC\n" "a.1 RM a| = OK|\n"
        "a.1 WRITE c|1 = OK|\n" "a.1 TRANSACTION_END T| = OK|\n"
        "a DIRECTORY /local/domain/1| = b|c|\n" "a WRITE d|1 ! ENOSPC\n"),
    CASE("a transaction removes twice what it has looked at",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a/b|1 = OK|\n" "a TRANSACTION_START | = 1|\n"
        "a.1 READ a/b| = 1\n" "a.1 RM a| = OK|\n" "a.1 WRITE a/b|2 = OK|\n"
        "a.1 RM a| = OK|\n" "a.1 WRITE a/b|3 = OK|\n" "a.1 WRITE d|1 ! ENOSPC\n"
        "a.1 TRANSACTION_END T| = OK|\n" "a READ a/b| = 3\n" "a WRITE d|1 ! ENOSPC\n"),
    CASE("a transaction removes a child, then twice its parent",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a/b|1 = OK|\n" "a TRANSACTION_START | = 1|\n"
        "a.1 RM a/b| = OK|\n" "a.1 RM a| = OK|\n" "a.1 MKDIR a| = OK|\n"
        "a.1 RM a| = OK|\n" "a.1 WRITE a/b|3 = OK|\n" "a.1 WRITE d|1 ! ENOSPC\n"
        "a.1 TRANSACTION_END T| = OK|\n" "a READ a/b| = 3\n" "a WRITE d|1 ! ENOSPC\n"),
    CASE("a transaction removes from below",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|4| = OK|\n" "a WRITE a/b/c|1 = OK|\n"
        "a TRANSACTION_START | = 1|\n" "a.1 RM a/b/c| = OK|\n" "a.1 RM a/b| = OK|\n"
        "a.1 RM a| = OK|\n" "a.1 WRITE e/f/g|3 = OK|\n" "a.1 WRITE d|1 ! ENOSPC\n"
        "a.1 TRANSACTION_END T| = OK|\n" "a READ e/f/g| = 3\n" "a WRITE d|1 ! ENOSPC\n"),
    CASE("a removal that fails gives nothing back",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a/b|1 = OK|\n" "a TRANSACTION_START | = 1|\n"
        "a.1 READ a/b| = 1\n" "a.1 READ a| = \n" "A SET_QUOTA 1|memory|1| = OK|\n"
        "a.1 RM a/b| ! ENOMEM\n" "A SET_QUOTA 1|memory|1000000| = OK|\n" "a.1 READ a/b| = 1\n"
        "a.1 WRITE d|1 ! ENOSPC\n" "a.1 TRANSACTION_END T| = OK|\n"),
    MULTI("what another transaction has removed was given back to it",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|3| = OK|\n" "a WRITE a/b|1 = OK|\n" "a TRANSACTION_START | = 1|\n"
        "x TRANSACTION_START | = 1|\n" "x.1 READ a/b| = 1\n" "a.1 RM a/b| = OK|\n"
        "a.1 WRITE d|1 = OK|\n" "a.1 TRANSACTION_END T| = OK|\n" "x.1 RM a/b| = OK|\n"
        "x.1 WRITE a/b|2 ! ENOSPC\n" "x.1 TRANSACTION_END T| ! EAGAIN\n"),
    CASE("two transactions cannot pass a quota together",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A MKDIR /local/domain/1/p| = OK|\n" "A MKDIR /local/domain/1/q| = OK|\n"
        "A SET_QUOTA 1|nodes|4| = OK|\n" "a TRANSACTION_START | = 1|\n"
        "a TRANSACTION_START | = 2|\n" "a.1 WRITE p/a|1 = OK|\n" "a.2 WRITE q/a|1 = OK|\n"
        "a.1 TRANSACTION_END T| = OK|\n" "a.2 TRANSACTION_END T| ! ENOSPC\n"
        "a READ q/a| ! ENOENT\n" "a WRITE x|1 ! ENOSPC\n"),
    CASE("quotas hold for guests only",
        "A SET_QUOTA nodes|1| = OK|\n" "A WRITE /x/y/z|1 = OK|\n"),
    CASE("a quota of 0 is none",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|nodes|0| = OK|\n" "a WRITE a/b/c/d|1 = OK|\n"),
    CASE("the quota of watches",
        "A SET_QUOTA 1|watches|2| = OK|\n" "a WATCH /a|1| = OK|\n" "a < @ /a|1|\n"
        "a WATCH /a|2| = OK|\n" "a < @ /a|2|\n" "a WATCH /a|3| ! ENOSPC\n"
        "a WATCH /a|1| ! EEXIST\n" "a UNWATCH /a|1| = OK|\n" "a WATCH /a|3| = OK|\n"
        "a < @ /a|3|\n"),
    CASE("the quota of node sizes",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE x|{v*2016} = OK|\n" "a WRITE x|{v*2017} ! ENOSPC\n"
        "a WRITE y|{v*2017} ! ENOSPC\n" "a READ y| ! ENOENT\n"
        "A WRITE /local/domain/1/x|{v*3000} = OK|\n"),
    CASE("the quota of node sizes counts names",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a MKDIR d| = OK|\n" "a MKDIR d/{x*1000}| = OK|\n" "a MKDIR d/{y*1000}| = OK|\n"
        "a MKDIR d/{z*100}| ! ENOSPC\n"),
    CASE("the quota of a transaction's nodes",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|transaction-nodes|3| = OK|\n" "a TRANSACTION_START | = 1|\n"
        "a.1 READ x1| ! ENOENT\n" "a.1 READ x2| ! ENOENT\n" "a.1 READ x3| ! ENOENT\n"
        "a.1 READ x1| ! ENOENT\n" "a.1 READ x4| ! ENOSPC\n" "a.1 TRANSACTION_END T| ! ENOSPC\n"
        "a.1 TRANSACTION_END T| ! ENOENT\n"),
    CASE("the quota of memory",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "A SET_QUOTA 1|memory|1500| = OK|\n" "a WRITE x|{v*200} = OK|\n"
        "a WRITE y|{v*1500} ! ENOMEM\n" "a WRITE x|{v*1900} ! ENOMEM\n" "a RM x| = OK|\n"
        "a WRITE y|{v*200} = OK|\n"),
    CASE("CONTROL",
        "A CONTROL check| = OK|\n" "A CONTROL print|hello| = OK|\n" "A CONTROL foo| ! EINVAL\n"
        "A CONTROL ! EINVAL\n" "A CONTROL check|x| ! EINVAL\n" "A CONTROL print| ! EINVAL\n"),
    CASE("CONTROL log",
        "A CONTROL log|on| = OK|\n" "A CONTROL log|off| = OK|\n"
        "A CONTROL log| = Log switch settings:~obj     : on~io      : on~"
        "wrl     : off~acc     : off~tdb     : off~|\n"
        "A CONTROL log|-io| = OK|\n" "A CONTROL log|+wrl| = OK|\n"
        "A CONTROL log| = Log switch settings:~obj     : on~io      : off~"
        "wrl     : on~acc     : off~tdb     : off~|\n"
        "A CONTROL log|+io| = OK|\n" "A CONTROL log|on|off| ! EINVAL\n"
        "A CONTROL log|x| ! EINVAL\n" "A CONTROL log|+foo| ! EINVAL\n"),
    CASE("CONTROL quota",
        "A CONTROL quota| ?\n" "A CONTROL quota|set|nodes|5| = OK|\n"
        "A GET_QUOTA nodes| = 5|\n" "A CONTROL quota|1| ?\n" "A CONTROL quota|99| ! ENOENT\n"
        "A CONTROL quota|max| ?\n" "A CONTROL quota|max|-r| ?\n"
        "A CONTROL quota|set|foo|5| ! EINVAL\n" "A CONTROL quota|set|nodes| ! EINVAL\n"
        "A CONTROL quota-soft| ?\n" "A CONTROL quota-soft|set|memory|5| = OK|\n"
        "A GET_QUOTA soft-memory| = 5|\n" "A CONTROL quota-soft|set|nodes|5| ! EINVAL\n"),
    CASE("CONTROL memreport, stats and help",
        "A CONTROL memreport| = OK|\n" "A CONTROL memreport|/f|g| ! EINVAL\n"
        "A CONTROL stats| ?\n" "A CONTROL help| ?\n"),
    MULTI("two connections of one domain",
        "A WRITE /local/domain/1| = OK|\n" "A SET_PERMS /local/domain/1|n1| = OK|\n"
        "a WRITE k|1 = OK|\n" "x READ k| = 1\n" "a TRANSACTION_START | = 1|\n"
        "x.1 READ k| ! ENOENT\n" "a WATCH k|t| = OK|\n" "a < @ k|t|\n"
        "x UNWATCH k|t| ! ENOENT\n" "x WRITE k|2 = OK|\n" "a < @ k|t|\n"),
    CASE("READ in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 READ /tool| = \n" "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("READ in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 READ /tool| ! ENOENT\n"),
    CASE("READ by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 READ /tool| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("DIRECTORY in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 DIRECTORY /tool| = xenstored|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("DIRECTORY in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 DIRECTORY /tool| ! ENOENT\n"),
    CASE("DIRECTORY by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 DIRECTORY /tool| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("GET_PERMS in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 GET_PERMS /tool| = n0|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("GET_PERMS in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 GET_PERMS /tool| ! ENOENT\n"),
    CASE("GET_PERMS by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 GET_PERMS /tool| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("WRITE in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 WRITE /tool|v = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("WRITE in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 WRITE /tool|v ! ENOENT\n"),
    CASE("WRITE by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 WRITE /tool|v ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("MKDIR in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 MKDIR /tool/m| = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("MKDIR in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 MKDIR /tool/m| ! ENOENT\n"),
    CASE("MKDIR by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 MKDIR /tool/m| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("RM in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 RM /tool/xenstored| = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("RM in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 RM /tool/xenstored| ! ENOENT\n"),
    CASE("RM by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 RM /tool/xenstored| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("SET_PERMS in a transaction",
        "A TRANSACTION_START | = 1|\n" "A.1 SET_PERMS /tool|r0| = OK|\n"
        "A.1 TRANSACTION_END T| = OK|\n"),
    CASE("SET_PERMS in a transaction that is over",
        "A TRANSACTION_START | = 1|\n" "A.1 TRANSACTION_END F| = OK|\n"
        "A.1 SET_PERMS /tool|r0| ! ENOENT\n"),
    CASE("SET_PERMS by a guest in a transaction",
        "a TRANSACTION_START | = 1|\n" "a.1 SET_PERMS /tool|r1| ! EACCES\n"
        "a.1 TRANSACTION_END T| = OK|\n"),
    CASE("default of the quota nodes",
        "A GET_QUOTA nodes| = 1000|\n" "A SET_QUOTA nodes|77| = OK|\n"
        "A GET_QUOTA 1|nodes| = 77|\n"),
    CASE("default of the quota watches",
        "A GET_QUOTA watches| = 128|\n" "A SET_QUOTA watches|77| = OK|\n"
        "A GET_QUOTA 1|watches| = 77|\n"),
    CASE("default of the quota transactions",
        "A GET_QUOTA transactions| = 10|\n" "A SET_QUOTA transactions|77| = OK|\n"
        "A GET_QUOTA 1|transactions| = 77|\n"),
    CASE("default of the quota outstanding",
        "A GET_QUOTA outstanding| = 20|\n" "A SET_QUOTA outstanding|77| = OK|\n"
        "A GET_QUOTA 1|outstanding| = 77|\n"),
    CASE("default of the quota transaction-nodes",
        "A GET_QUOTA transaction-nodes| = 1024|\n" "A SET_QUOTA transaction-nodes|77| = OK|\n"
        "A GET_QUOTA 1|transaction-nodes| = 77|\n"),
    CASE("default of the quota memory",
        "A GET_QUOTA memory| = 2621440|\n" "A SET_QUOTA memory|77| = OK|\n"
        "A GET_QUOTA 1|memory| = 77|\n"),
    CASE("default of the quota node-size",
        "A GET_QUOTA node-size| = 2048|\n" "A SET_QUOTA node-size|77| = OK|\n"
        "A GET_QUOTA 1|node-size| = 77|\n"),
    CASE("default of the quota path-max",
        "A GET_QUOTA path-max| = 2048|\n" "A SET_QUOTA path-max|77| = OK|\n"
        "A GET_QUOTA 1|path-max| = 77|\n"),
    CASE("default of the quota node-permissions",
        "A GET_QUOTA node-permissions| = 5|\n" "A SET_QUOTA node-permissions|77| = OK|\n"
        "A GET_QUOTA 1|node-permissions| = 77|\n"),
    CASE("letter n for all",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0| = OK|\n" "a READ /s| ! EACCES\n"
        "a WRITE /s|x ! EACCES\n"),
    CASE("letter n for one",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|n1| = OK|\n" "a READ /s| ! EACCES\n"
        "a DIRECTORY /s| ! EACCES\n" "a MKDIR /s/d| ! EACCES\n" "b READ /s| ! EACCES\n"),
    CASE("letter n and RM",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|n1| = OK|\n" "a RM /s| ! EACCES\n"),
    CASE("letter r for all",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|r0| = OK|\n" "a READ /s| = v\n"
        "a WRITE /s|x ! EACCES\n"),
    CASE("letter r for one",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r1| = OK|\n" "a READ /s| = v\n"
        "a DIRECTORY /s| = \n" "a MKDIR /s/d| ! EACCES\n" "b READ /s| ! EACCES\n"),
    CASE("letter r and RM",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|r1| = OK|\n" "a RM /s| ! EACCES\n"),
    CASE("letter w for all",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|w0| = OK|\n" "a READ /s| ! EACCES\n"
        "a WRITE /s|x = OK|\n"),
    CASE("letter w for one",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|w1| = OK|\n" "a READ /s| ! EACCES\n"
        "a DIRECTORY /s| ! EACCES\n" "a MKDIR /s/d| = OK|\n" "b READ /s| ! EACCES\n"),
    CASE("letter w and RM",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|w1| = OK|\n" "a RM /s| = OK|\n"),
    CASE("letter b for all",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|b0| = OK|\n" "a READ /s| = v\n"
        "a WRITE /s|x = OK|\n"),
    CASE("letter b for one",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|b1| = OK|\n" "a READ /s| = v\n"
        "a DIRECTORY /s| = \n" "a MKDIR /s/d| = OK|\n" "b READ /s| ! EACCES\n"),
    CASE("letter b and RM",
        "A WRITE /s|v = OK|\n" "A SET_PERMS /s|n0|b1| = OK|\n" "a RM /s| = OK|\n"),
};
/* clang-format on */

const size_t store_case_count = sizeof(store_cases) / sizeof(store_cases[0]);
