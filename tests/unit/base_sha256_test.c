/* SPDX-License-Identifier: MIT */
/* SHA-256 against the standard's examples, and in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

static void expect(const char *text, const char *hex)
{
    uint8_t digest[MBR__SHA256_SIZE];
    char got[2 * MBR__SHA256_SIZE + 1];

    mbr__sha256(text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(got + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(got, hex);
}

static void gives_the_published_values(void **state)
{
    expect("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* 0 to 200 bytes cover every position of the padding, twice. */
static void pieces_make_no_difference(void **state)
{
    uint8_t data[200];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + 1);
    for (size_t length = 0; length <= sizeof(data); length++) {
        for (size_t piece = 1; piece <= 65; piece += 8) {
            uint8_t whole[MBR__SHA256_SIZE];
            uint8_t parts[MBR__SHA256_SIZE];
            struct mbr__sha256 hash;

            mbr__sha256(data, length, whole);
            mbr__sha256_init(&hash);
            for (size_t at = 0; at < length; at += piece)
                mbr__sha256_add(&hash, data + at, length - at < piece ? length - at : piece);
            mbr__sha256_add(&hash, NULL, 0);
            mbr__sha256_end(&hash, parts);
            assert_memory_equal(whole, parts, sizeof(whole));
        }
    }
}

static void hashes_a_million_letters(void **state)
{
    static const uint8_t expected[8] = {0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92};
    uint8_t digest[MBR__SHA256_SIZE];
    struct mbr__sha256 hash;
    char letters[1000];

    memset(letters, 'a', sizeof(letters));
    mbr__sha256_init(&hash);
    for (int i = 0; i < 1000; i++)
        mbr__sha256_add(&hash, letters, sizeof(letters));
    mbr__sha256_end(&hash, digest);
    assert_memory_equal(digest, expected, sizeof(expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_values),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(hashes_a_million_letters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
