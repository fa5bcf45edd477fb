/* SPDX-License-Identifier: MIT */
/* A program of somebody else: implements an interface, calls it, and looks at its type record. */
#include <stdio.h>
#include <string.h>

#include <Greeter.h>
#include <Heap.h>

struct state {
    Greeter_cl closure;
    uint32_t count;
};

static const char *greet(Greeter_clp self, const char *who, Greeter_Mood mood, Heap_Size *length,
                         uint32_t *count)
{
    struct state *state = (struct state *)self->st;
    size_t size = strlen(who) + sizeof "Good morning, !";
    char *text;

    if (!who[0])
        RAISE_Greeter_Nobody(mood);
    text = (char *)malloc(size);
    if (!text)
        RAISE_Heap_NoMemory();
    snprintf(text, size, mood == Greeter_Mood_Polite ? "Good morning, %s!" : "Hi %s!", who);
    *length = strlen(text);
    *count = ++state->count;
    return text;
}

static const Greeter_op ops = {.Greet = greet};

int main(void)
{
    struct state state = {{&ops, &state}, 0};
    Greeter_clp greeter = &state.closure;
    Heap_Size length = 0;
    uint32_t count = 0;
    const char *text = Greeter_Greet(greeter, "world", Greeter_Mood_Polite, &length, &count);
    volatile int caught = 0;

    TRY
    {
        Greeter_Greet(greeter, "", Greeter_Mood_Short, &length, &count);
    }
    CATCH(Greeter_Nobody)
    {
        caught = 1;
    }
    ENDTRY
    printf("%s %u %u %s %s %d\n", text, (unsigned int)length, count, Greeter_intf.name,
           Greeter_intf.ops[0].raises[1].intf.name, caught);
    free((void *)(uintptr_t)text);
    return Greeter_intf.code == CODE_Greeter ? 0 : 1;
}
