/* SPDX-License-Identifier: MIT */
/* The spin budget's bookkeeping; spin.h says what it is for. Called once per wait, never per round.
 */
#include "event/spin.h"

/* A message that comes this soon after we parked would have come had somebody else not needed our
 * CPU. */
#define SOON_NS       15000u
#define VAIN_LIMIT    3u
#define PENANCE_FIRST 16u /* parks without a spin after the first time, doubled each time ... */
#define PENANCE_MOST  1024u

void mbr__spin_init(struct mbr__spin *s)
{
    *s = (struct mbr__spin){.budget = MBR__SPIN_FIRST_NS, .sentence = PENANCE_FIRST};
}

static uint64_t clamp(uint64_t ns)
{
    if (ns > MBR__SPIN_MAX_NS)
        return MBR__SPIN_MAX_NS;
    return ns < MBR__SPIN_LEAST_NS ? 0 : ns;
}

void mbr__spin_won(struct mbr__spin *s, uint64_t ns)
{
    s->in_vain = 0;
    s->sentence = PENANCE_FIRST; /* ... until a spin has helped again */
    /* Four times what it took leaves room for variation without paying for silence. */
    if (s->budget < 4 * ns || s->budget < MBR__SPIN_FIRST_NS)
        s->budget = clamp(4 * ns > MBR__SPIN_FIRST_NS ? 4 * ns : MBR__SPIN_FIRST_NS);
}

void mbr__spin_lost(struct mbr__spin *s, uint64_t spun, uint64_t parked)
{
    if (s->penance > 0) {
        s->penance--;
        return;
    }
    if (parked < SOON_NS && spun > SOON_NS && ++s->in_vain >= VAIN_LIMIT) {
        s->budget = 0;
        s->in_vain = 0;
        s->penance = s->sentence;
        if (s->sentence < PENANCE_MOST)
            s->sentence *= 2;
        return;
    }
    /* Parked for less than the longest spin: spinning on would have caught it. */
    if (parked < MBR__SPIN_MAX_NS)
        s->budget = clamp(2 * (s->budget + MBR__SPIN_LEAST_NS));
    else
        s->budget = clamp(s->budget / 2);
}
