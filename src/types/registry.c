/* SPDX-License-Identifier: MIT */
/*
 * Registering interfaces and looking types up. An interface is built whole, outside the lock, then
 * judged and put into the maps, where room was reserved: it is in with all its types or not at all.
 */
#include "types/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/log.h"
#include "types/announce.h"
#include "types/closures.h"

/* ---- making objects ---- */

static const void *key_of_intf(const void *value, size_t *length)
{
    const struct mbr__intf *intf = value;

    *length = sizeof(intf->record.copy.code);
    return &intf->record.copy.code;
}

static const void *key_of_type(const void *value, size_t *length)
{
    const struct mbr__type *type = value;

    *length = strlen(type->name);
    return type->name;
}

/* "Foo.Bar", or "Foo.#7" for what has no name. */
static const char *full_name(struct mbr__record *record, uint32_t i)
{
    const char *name = record->copy.types[i].name;
    size_t length = strlen(record->copy.name) + (name ? strlen(name) : 10) + 3;
    char *text = mbr__arena_alloc(&record->arena, 1, length);

    if (text && name)
        (void)snprintf(text, length, "%s.%s", record->copy.name, name);
    else if (text)
        (void)snprintf(text, length, "%s.#%u", record->copy.name, i + 1);
    return text;
}

static int make_types(struct mbr__intf *intf)
{
    static const struct mbr_type_record pointer = {
        .kind = MBR_TYPE_INTERFACE, .size = sizeof(void *), .align = _Alignof(void *)};
    const struct mbr_intf_record *r = &intf->record.copy;
    struct mbr__type *types =
        mbr__arena_alloc(&intf->record.arena, (size_t)r->n_types + 1, sizeof(*types));

    if (!types)
        return -ENOMEM;
    intf->types = types;
    types[0] = (struct mbr__type){.code = r->code,
                                  .name = r->name,
                                  .record = &pointer,
                                  .intf = intf,
                                  .state = MBR__TYPE_SOUND};
    for (uint32_t i = 0; i < r->n_types; i++) {
        struct mbr__type *type = &types[i + 1];

        type->code = r->types[i].code;
        type->name = full_name(&intf->record, i);
        type->record = &r->types[i];
        type->intf = intf;
        if (!type->name || !mbr__type_closure(type, &intf->record.arena))
            return -ENOMEM;
    }
    return 0;
}

static struct mbr__part *make_parts(struct mbr__intf *intf, uint32_t count)
{
    struct mbr__part *parts = mbr__arena_alloc(&intf->record.arena, count, sizeof(*parts));

    for (uint32_t i = 0; parts && i < count; i++)
        parts[i] = (struct mbr__part){.intf = intf, .index = i};
    return parts;
}

static void free_intf(struct mbr__intf *intf)
{
    mbr__record_fini(&intf->record);
    intf->owner->source.free(intf->owner->source.self, intf);
}

static int fill_intf(struct mbr__intf *intf)
{
    int result = make_types(intf);

    intf->ops = make_parts(intf, intf->record.copy.n_ops);
    intf->exns = make_parts(intf, intf->record.copy.n_exns);
    if (result < 0 || !intf->ops || !intf->exns)
        return -ENOMEM;
    for (uint32_t i = 0; i < intf->record.copy.n_ops; i++) {
        if (!mbr__op_closure(&intf->ops[i], &intf->record.arena))
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < intf->record.copy.n_exns; i++)
        mbr__exn_closure(&intf->exns[i]);
    mbr__intf_closure(intf);
    return 0;
}

static int make_intf(struct mbr_types *types, const struct mbr_intf_record *record,
                     struct mbr__intf **made, const char **why)
{
    struct mbr__intf *intf = types->source.alloc(types->source.self, sizeof(*intf));
    int result;

    if (!intf)
        return -ENOMEM;
    memset(intf, 0, sizeof(*intf));
    intf->owner = types;
    result = mbr__record_copy(&intf->record, record, &types->source, why);
    if (result == 0) {
        /* What hangs on a record is as large as the record; the budget is for what came in. */
        intf->record.arena.left = SIZE_MAX;
        result = fill_intf(intf);
    }
    if (result < 0) {
        free_intf(intf);
        return result;
    }
    *made = intf;
    return 0;
}

/* ---- the predefined types ---- */

struct predefined {
    const char *name;
    uint32_t size;
    uint32_t align;
};

#define PREDEFINED(name, type)             \
    {                                      \
        name, sizeof(type), _Alignof(type) \
    }

/* In the order of their codes. */
static const struct predefined predefined[MBR_CODE_LAST_PREDEFINED] = {
    PREDEFINED("BOOLEAN", bool),          PREDEFINED("SHORT CARDINAL", uint16_t),
    PREDEFINED("CARDINAL", uint32_t),     PREDEFINED("LONG CARDINAL", uint64_t),
    PREDEFINED("SHORT INTEGER", int16_t), PREDEFINED("INTEGER", int32_t),
    PREDEFINED("LONG INTEGER", int64_t),  PREDEFINED("REAL", float),
    PREDEFINED("LONG REAL", double),      PREDEFINED("STRING", char *),
    PREDEFINED("OCTET", uint8_t),         PREDEFINED("CHAR", char),
    PREDEFINED("ADDRESS", void *),        PREDEFINED("WORD", uintptr_t),
};

/* The values of BOOLEAN have names, as those of an enumeration have: a SET may be made of them. */
static const struct mbr_member_record booleans[] = {{"false", 0, 0, 0}, {"true", 0, 0, 1}};

static int add_predefined(struct mbr_types *types)
{
    struct mbr__intf *iref = &types->iref;
    struct mbr_type_record *records;
    int result = mbr__bytes_map_reserve(&types->by_name, MBR__IREF_TYPES);

    mbr__arena_init(&iref->record.arena, &types->source, SIZE_MAX);
    records = mbr__arena_alloc(&iref->record.arena, MBR__IREF_TYPES, sizeof(*records));
    if (result < 0 || !records)
        return -ENOMEM;
    iref->owner = types;
    iref->types = types->iref_types;
    iref->record.copy.name = "IREF";
    mbr__intf_closure(iref);
    records[0] = (struct mbr_type_record){
        .kind = MBR_TYPE_INTERFACE, .size = sizeof(void *), .align = _Alignof(void *)};
    for (uint32_t i = 0; i < MBR__IREF_TYPES; i++) {
        struct mbr__type *type = &types->iref_types[i];

        if (i > 0) {
            records[i].size = predefined[i - 1].size;
            records[i].align = predefined[i - 1].align;
        }
        *type = (struct mbr__type){.code = i,
                                   .name = i > 0 ? predefined[i - 1].name : "IREF",
                                   .record = &records[i],
                                   .intf = iref,
                                   .state = MBR__TYPE_SOUND};
        (void)mbr__bytes_map_put(&types->by_name, type);
    }
    records[MBR_CODE_BOOLEAN].count = sizeof(booleans) / sizeof(booleans[0]);
    records[MBR_CODE_BOOLEAN].members = booleans;
    return 0;
}

/* ---- registering ---- */

struct mbr__intf *mbr__intf_by_code(const struct mbr_types *types, uint64_t code)
{
    uint64_t fingerprint = MBR_CODE_FINGERPRINT(code);

    return mbr__bytes_map_get(&types->by_code, &fingerprint, sizeof(fingerprint));
}

struct mbr__type *mbr__type_by_code(const struct mbr_types *types, uint64_t code)
{
    struct mbr__intf *intf;

    if (MBR_CODE_FINGERPRINT(code) == 0)
        return code < MBR__IREF_TYPES ? types->iref.types + code : NULL;
    intf = mbr__intf_by_code(types, code);
    if (!intf || MBR_CODE_INDEX(code) > intf->record.copy.n_types)
        return NULL;
    return &intf->types[MBR_CODE_INDEX(code)];
}

/* 1 to go on, 0 if INTF is there already, or an error. */
static int compare_with_known(const struct mbr_types *types, const struct mbr__intf *intf)
{
    const struct mbr_intf_record *r = &intf->record.copy;
    const struct mbr__type *named = mbr__bytes_map_get(&types->by_name, r->name, strlen(r->name));
    const struct mbr__intf *coded = mbr__intf_by_code(types, r->code);

    if (!named && !coded)
        return 1;
    if (named && named->code != r->code)
        return -EEXIST;
    return named && mbr__record_same(&coded->record.copy, r) ? 0 : -ENOTUNIQ;
}

static void wait_if_needed(struct mbr_types *types, struct mbr__intf *intf)
{
    if (intf->awaited == 0)
        return;
    intf->next_waiting = types->waiting;
    types->waiting = intf;
}

/* Types that waited for this interface may be judged now; what turns out bad is left unusable. */
static void wake_waiting(struct mbr_types *types, uint64_t code)
{
    struct mbr__intf *waiting = types->waiting;

    types->waiting = NULL;
    while (waiting) {
        struct mbr__intf *intf = waiting;

        waiting = intf->next_waiting;
        if (intf->awaited == code && mbr__intf_judge(types, intf) < 0)
            mbr__log(MBR_LOG_WARNING, "interface %s: its types do not fit those it uses",
                     intf->record.copy.name);
        wait_if_needed(types, intf);
    }
}

static int insert(struct mbr_types *types, struct mbr__intf *intf, const char **why)
{
    const struct mbr_intf_record *r = &intf->record.copy;

    if (mbr__bytes_map_reserve(&types->by_code, types->by_code.hash.count + 1) < 0 ||
        mbr__bytes_map_reserve(&types->by_name, types->by_name.hash.count + r->n_types + 1) < 0)
        return -ENOMEM;
    (void)mbr__bytes_map_put(&types->by_code, intf);
    if (mbr__intf_judge(types, intf) < 0) {
        (void)mbr__bytes_map_del(&types->by_code, &r->code, sizeof(r->code));
        *why = "the layout of a type is impossible";
        return -EBADMSG;
    }
    for (uint32_t i = 0; i <= r->n_types; i++)
        (void)mbr__bytes_map_put(&types->by_name, &intf->types[i]);
    *types->last = intf;
    types->last = &intf->next;
    wake_waiting(types, r->code);
    wait_if_needed(types, intf);
    return 1;
}

int mbr_types_register(struct mbr_types *types, const struct mbr_intf_record *record)
{
    const char *why = "";
    struct mbr__intf *intf;
    int result = make_intf(types, record, &intf, &why);

    if (result == 0) {
        pthread_rwlock_wrlock(&types->lock);
        result = compare_with_known(types, intf);
        if (result > 0)
            result = insert(types, intf, &why);
        pthread_rwlock_unlock(&types->lock);
        if (result <= 0)
            free_intf(intf);
    }
    if (result == -EBADMSG)
        mbr__log(MBR_LOG_WARNING, "a type record is refused: %s", why);
    return result < 0 ? result : 0;
}

/* ---- a type system's life ---- */

static void *zalloc_for_map(void *self, size_t count, size_t size)
{
    const struct mbr__source *source = self;
    void *block =
        size > 0 && count > SIZE_MAX / size ? NULL : source->alloc(source->self, count * size);

    return block ? memset(block, 0, count * size) : NULL;
}

static void free_for_map(void *self, void *block)
{
    const struct mbr__source *source = self;

    if (block)
        source->free(source->self, block);
}

int mbr__types_new_in(const struct mbr__source *source, struct mbr_types **types)
{
    struct mbr_types *made = source->alloc(source->self, sizeof(*made));
    int result;

    if (!made)
        return -ENOMEM;
    memset(made, 0, sizeof(*made));
    made->source = *source;
    made->last = &made->first;
    mbr__types_closure(made);
    made->map_memory = (struct mbr__hash_memory){zalloc_for_map, free_for_map, &made->source};
    mbr__bytes_map_init_in(&made->by_code, key_of_intf, &made->map_memory);
    mbr__bytes_map_init_in(&made->by_name, key_of_type, &made->map_memory);
    result = pthread_rwlock_init(&made->lock, NULL) == 0 ? add_predefined(made) : -ENOMEM;
    if (result < 0) {
        mbr_types_free(made);
        return result;
    }
    *types = made;
    return 0;
}

int mbr_types_new(struct mbr_types **types)
{
    return mbr__types_new_in(&mbr__source_malloc, types);
}

void mbr_types_free(struct mbr_types *types)
{
    struct mbr__intf *intf;

    if (!types)
        return;
    while ((intf = types->first)) {
        types->first = intf->next;
        free_intf(intf);
    }
    mbr__bytes_map_fini(&types->by_code);
    mbr__bytes_map_fini(&types->by_name);
    mbr__arena_fini(&types->iref.record.arena);
    (void)pthread_rwlock_destroy(&types->lock);
    types->source.free(types->source.self, types);
}

/* ---- the one of the process ---- */

static struct mbr_types *process_types;
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

static void register_announced(const struct mbr_intf_record *record, void *arg)
{
    int result = mbr_types_register(arg, record);

    if (result < 0 && result != -EBADMSG)
        mbr__log(MBR_LOG_WARNING, "a type record is left out: %s", mbr_error_text(result));
}

/* Takes in what was announced since the last time. */
static void catch_up(struct mbr_types *types)
{
    if (!types->of_process || mbr_load_acquire(&types->seen) == mbr__announced())
        return;
    pthread_mutex_lock(&process_lock);
    if (types->seen != mbr__announced())
        mbr_store_release(&types->seen, mbr__announced_each(register_announced, types));
    pthread_mutex_unlock(&process_lock);
}

struct mbr_types *mbr_types_process(void)
{
    struct mbr_types *types = mbr_load_acquire(&process_types);

    if (!types) {
        pthread_mutex_lock(&process_lock);
        types = process_types;
        if (!types && mbr_types_new(&types) == 0) {
            types->of_process = true;
            mbr_store_release(&process_types, types);
        }
        pthread_mutex_unlock(&process_lock);
    }
    if (types)
        catch_up(types);
    return types;
}

/* ---- looking up ---- */

static const struct mbr__type *if_sound(const struct mbr__type *type)
{
    return type && type->state == MBR__TYPE_SOUND ? type : NULL;
}

const struct mbr__type *mbr__types_find(struct mbr_types *types, uint64_t code)
{
    const struct mbr__type *type;

    catch_up(types);
    pthread_rwlock_rdlock(&types->lock);
    type = if_sound(mbr__type_by_code(types, code));
    pthread_rwlock_unlock(&types->lock);
    return type;
}

const struct mbr__type *mbr__types_find_name(struct mbr_types *types, const char *name)
{
    const struct mbr__type *type;

    catch_up(types);
    pthread_rwlock_rdlock(&types->lock);
    type = if_sound(mbr__bytes_map_get(&types->by_name, name, strlen(name)));
    pthread_rwlock_unlock(&types->lock);
    return type;
}

struct mbr__intf *mbr__types_find_intf(struct mbr_types *types, uint64_t code)
{
    struct mbr__intf *intf;

    catch_up(types);
    if (MBR_CODE_FINGERPRINT(code) == 0)
        return &types->iref;
    pthread_rwlock_rdlock(&types->lock);
    intf = mbr__intf_by_code(types, code);
    pthread_rwlock_unlock(&types->lock);
    return intf;
}

struct mbr__intf *mbr__types_next(struct mbr_types *types, const struct mbr__intf *intf)
{
    struct mbr__intf *next;

    if (!intf)
        catch_up(types);
    pthread_rwlock_rdlock(&types->lock);
    next = intf ? intf->next : types->first;
    pthread_rwlock_unlock(&types->lock);
    return next;
}

const struct mbr__type *mbr__types_base(struct mbr_types *types, uint64_t code)
{
    const struct mbr__type *type = mbr__types_find(types, code);

    /* Sound aliases end somewhere. */
    while (type && type->record->kind == MBR_TYPE_ALIAS)
        type = mbr__types_find(types, type->record->base);
    return type;
}

/* ---- the public face ---- */

int mbr_types_info(struct mbr_types *types, uint64_t code, struct mbr_type_info *info)
{
    const struct mbr__type *type = mbr__types_find(types, code);
    const struct mbr__type *base = mbr__types_base(types, code);

    if (!type || !base)
        return -ENOENT;
    *info = (struct mbr_type_info){
        .code = type->code,
        .name = type->name,
        .intf = type->intf == &types->iref ? NULL : &type->intf->record.copy,
        .kind = type->record->kind,
        .size = type->record->size,
        .align = type->record->align,
        .count = type->record->count,
        .base = type->record->base,
        .members = type->record->members,
        .large = mbr__kind_is_large(base->record->kind),
    };
    return 0;
}

int mbr_types_lookup(struct mbr_types *types, const char *name, uint64_t *code)
{
    const struct mbr__type *type = mbr__types_find_name(types, name);

    if (!type)
        return -ENOENT;
    *code = type->code;
    return 0;
}

int mbr_types_unalias(struct mbr_types *types, uint64_t code, uint64_t *base)
{
    const struct mbr__type *type = mbr__types_base(types, code);

    if (!type)
        return -ENOENT;
    *base = type->code;
    return 0;
}

int mbr_types_is(struct mbr_types *types, uint64_t sub, uint64_t super)
{
    if (!mbr__types_find(types, sub) || !mbr__types_find(types, super))
        return -ENOENT;
    if (sub == super)
        return 1;
    if (MBR_CODE_INDEX(sub) != 0 || MBR_CODE_INDEX(super) != 0)
        return 0;
    for (int hops = 0; hops < MBR__CHAIN_MAX; hops++) {
        const struct mbr__intf *intf = mbr__types_find_intf(types, sub);

        if (!intf || !intf->record.copy.extends.name)
            return 0;
        sub = intf->record.copy.extends.code;
        if (sub == super)
            return 1;
    }
    return 0;
}

const struct mbr_intf_record *mbr_types_intf(struct mbr_types *types, const char *name)
{
    const struct mbr__type *type = mbr__types_find_name(types, name);

    if (!type || MBR_CODE_INDEX(type->code) != 0 || type->code == 0)
        return NULL;
    return &type->intf->record.copy;
}
