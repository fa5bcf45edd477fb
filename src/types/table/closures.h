/* SPDX-License-Identifier: MIT */
/*
 * The closures of one kind of table, its iterators and its factory, over table/tbl.h. This is not a
 * header but the body of a file, which says before it includes this:
 *
 *     TBL(x)         WordTbl##x: names of the interface
 *     TBL_DISPOSE    what the method is called that frees a table
 *     key_bytes(&key, &length)    a key's bytes
 *     key_from(entry)             the key of an entry
 */

/* A table that lives in a heap. */
struct table {
    TBL(_cl) cl;
    struct mbr__tbl tbl;
};

struct iterator {
    TBL(Iter_cl) cl;
    Heap_clp heap;
    struct mbr__tbl_iter iter;
};

static bool iter_next(TBL(Iter_clp) self, TBL(_Key) * key, void **val)
{
    struct iterator *it = self->st;
    const struct mbr__tbl_entry *entry = mbr__tbl_iter_next(&it->iter);

    if (!entry)
        return false;
    *key = key_from(entry);
    *val = entry->val;
    return true;
}

static void iter_dispose(TBL(Iter_clp) self)
{
    struct iterator *it = self->st;

    mbr__tbl_iter_fini(&it->iter);
    mbr__heap_free(it->heap, it);
}

static const TBL(Iter_op) iter_op = {.Next = iter_next, .Dispose = iter_dispose};

static bool get(TBL(_clp) self, TBL(_Key) k, TBL(_Val) * v)
{
    struct table *table = self->st;
    size_t length;
    const void *key = key_bytes(&k, &length);

    return mbr__tbl_get(&table->tbl, key, length, v);
}

static bool put(TBL(_clp) self, TBL(_Key) k, TBL(_Val) v)
{
    struct table *table = self->st;
    size_t length;
    const void *key = key_bytes(&k, &length);
    int known = mbr__tbl_put(&table->tbl, key, length, v);

    if (known < 0)
        RAISE(Heap_NoMemory);
    return known;
}

static bool delete (TBL(_clp) self, TBL(_Key) k, TBL(_Val) * v)
{
    struct table *table = self->st;
    size_t length;
    const void *key = key_bytes(&k, &length);

    return mbr__tbl_del(&table->tbl, key, length, v);
}

static uint32_t size(TBL(_clp) self)
{
    struct table *table = self->st;

    return mbr__tbl_size(&table->tbl);
}

static TBL(Iter_clp) iterate(TBL(_clp) self)
{
    struct table *table = self->st;
    struct iterator *it = mbr__heap_need(table->tbl.heap, sizeof(*it));

    it->cl.op = &iter_op;
    it->cl.st = it;
    it->heap = table->tbl.heap;
    mbr__tbl_iter_init(&it->iter, &table->tbl);
    return &it->cl;
}

static void dispose(TBL(_clp) self)
{
    struct table *table = self->st;
    Heap_clp heap = table->tbl.heap;

    mbr__tbl_fini(&table->tbl);
    mbr__heap_free(heap, table);
}

static const TBL(_op) table_op = {.Get = get,
                                  .Put = put,
                                  .Delete = delete,
                                  .Size = size,
                                  .Iterate = iterate,
                                  .TBL_DISPOSE = dispose};

static TBL(_clp) new_table(TBL(Mod_clp) self, Heap_clp h)
{
    struct table *table = mbr__heap_need(h, sizeof(*table));

    (void)self;
    table->cl.op = &table_op;
    table->cl.st = table;
    mbr__tbl_init(&table->tbl, h);
    return &table->cl;
}

static const TBL(Mod_op) module_op = {.New = new_table};
