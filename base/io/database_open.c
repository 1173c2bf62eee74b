/* database_open.c - opening: which file it is, its schema and its journal. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "database_internal.h"

static const double busy_timeout_default_s = 10;

typedef struct identity {
    int64_t application_id, version, n_objects;
} identity;

/* One statement, so that all three come from one state of the file. */
static int read_identity(const database *db, identity *out) {
    static const char sql[] = "SELECT application_id, user_version, (SELECT count(*) FROM "
                              "sqlite_schema) FROM pragma_application_id, pragma_user_version";
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        out->application_id = sqlite3_column_int64(s, 0);
        out->version = sqlite3_column_int64(s, 1);
        out->n_objects = sqlite3_column_int64(s, 2);
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code;
}

static bool is_fresh(const identity *id) {
    return id->application_id == 0 && id->version == 0 && id->n_objects == 0;
}

static const char *kind_of(int64_t application_id) {
    switch (application_id) {
    case DATABASE_RESULTS_ID:
        return "results database";
    case DATABASE_PROFILES_ID:
        return "profile database";
    default:
        return "SQLite database of another program";
    }
}

static status check_identity(const database *db, const identity *id,
                             const database_schema *schema, errbuf *err) {
    if (id->application_id != schema->application_id)
        return fail(err, ST_FORMAT, "%s is a %s, not a %s: name another file", db->path,
                    kind_of(id->application_id), schema->kind);
    if (id->version != schema->version)
        return fail(err, ST_VERSION,
                    "%s: version %lld of the %s, this program reads version %ld: use the "
                    "program that made it, or move it away and run again",
                    db->path, (long long)id->version, schema->kind, (long)schema->version);
    return ST_OK;
}

static status connect_file(database *db, const char *name, int flags, errbuf *err) {
    int code = sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) return database_check(db, code, err);
    database_set_busy_timeout(db, busy_timeout_default_s);
    return ST_OK;
}

/* The name of the file as SQLite's URI, to be freed; NULL without memory. */
static char *immutable_uri(const char *path) {
    static const char prefix[] = "file:", suffix[] = "?immutable=1";
    char *uri = malloc(sizeof(prefix) + 3 * strlen(path) + sizeof(suffix));
    if (!uri) return NULL;
    char *end = uri + sprintf(uri, "%s", prefix);
    for (const char *c = path; *c; c++)
        if (strchr("%?#", *c))
            end += sprintf(end, "%%%02X", (unsigned)(unsigned char)*c);
        else
            *end++ = *c;
    strcpy(end, suffix);
    return uri;
}

static bool has_log(const char *path) {
    static const char suffix[] = "-wal";
    char *name = malloc(strlen(path) + sizeof(suffix));
    if (!name) return true;
    sprintf(name, "%s%s", path, suffix);
    struct stat info;
    bool found = stat(name, &info) == 0 && info.st_size > 0;
    free(name);
    return found;
}

/* A file with a write-ahead log needs an index file beside it, which cannot be made in a folder
 * that may not be written. Without a log the file itself is the whole truth, and nobody who
 * shares our rights can change it: read it as immutable. */
static status reconnect_immutable(database *db, errbuf *err) {
    char *uri = immutable_uri(db->path);
    if (!uri) return fail(err, ST_NO_MEMORY, "%s: out of memory", db->path);
    sqlite3_close(db->handle);
    db->handle = NULL;
    status st = connect_file(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
    free(uri);
    return st;
}

static status check_exists(const database *db, errbuf *err) {
    if (access(db->path, F_OK) == 0) return ST_OK;
    return fail(err, ST_NOT_FOUND, "%s: there is no such %s: %s", db->path, db->kind,
                strerror(errno));
}

static status fail_empty(const database *db, errbuf *err) {
    return fail(err, ST_NOT_FOUND, "%s: nothing has been stored in it yet", db->path);
}

static status open_to_read(database *db, const database_schema *schema, errbuf *err) {
    /* Opened for writing where that is allowed: a read-only connection that is the last to
     * close would leave its log and index files behind. */
    status st = check_exists(db, err);
    if (!st) st = connect_file(db, db->path, SQLITE_OPEN_READWRITE, err);
    if (st) return st;
    identity id;
    int code = read_identity(db, &id);
    bool shut = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
    if (shut && !has_log(db->path)) {
        if ((st = reconnect_immutable(db, err))) return st;
        code = read_identity(db, &id);
    }
    if (code != SQLITE_OK) return database_check(db, code, err);
    if (is_fresh(&id)) return fail_empty(db, err);
    if ((st = check_identity(db, &id, schema, err))) return st;
    return database_run(db, "PRAGMA query_only = ON", err);
}

/* The change of journal mode does not wait for other processes as other statements do, so it is
 * tried again here. It is no change, and needs no lock, once the file has a log. */
static status use_log(database *db, errbuf *err) {
    static const struct timespec pause = {0, 5 * 1000 * 1000};
    double waited_s = 0;
    for (;;) {
        int code = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (code != SQLITE_BUSY || waited_s >= db->busy_timeout_s)
            return database_check(db, code, err);
        nanosleep(&pause, NULL);
        waited_s += (double)pause.tv_nsec * 1e-9;
    }
}

static status write_schema(database *db, const database_schema *schema, errbuf *err) {
    identity id;
    status st = database_check(db, read_identity(db, &id), err);
    if (st) return st;
    if (!is_fresh(&id)) return ST_OK; /* another process was faster */
    if ((st = database_run(db, schema->sql, err))) return st;
    char numbers[96];
    snprintf(numbers, sizeof(numbers), "PRAGMA application_id = %ld; PRAGMA user_version = %ld",
             (long)schema->application_id, (long)schema->version);
    return database_run(db, numbers, err);
}

/* SQLite tries again to read what it may not make, and then says that there is no such file. */
static status check_folder(const database *db, errbuf *err) {
    if (access(db->path, F_OK) == 0) return ST_OK;
    const char *slash = strrchr(db->path, '/');
    char *folder = slash ? strndup(db->path, (size_t)(slash - db->path) + 1) : strdup(".");
    if (!folder) return fail(err, ST_NO_MEMORY, "%s: out of memory", db->path);
    int cause = access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    free(folder);
    if (!cause) return ST_OK;
    return fail(err, ST_IO,
                "%s: cannot be made (%s): check that its folder exists and may be "
                "written, or name another file",
                db->path, strerror(cause));
}

static status open_to_write(database *db, const database_schema *schema, bool may_create,
                            errbuf *err) {
    status st = may_create ? check_folder(db, err) : check_exists(db, err);
    int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0);
    if (!st) st = connect_file(db, db->path, flags, err);
    if (st) return st;
    /* SQLite would open it to read; say so before a run is made in vain. */
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return fail(err, ST_IO,
                    "%s: may not be written: change its permissions or name another file",
                    db->path);
    identity id;
    if ((st = database_check(db, read_identity(db, &id), err))) return st;
    if (is_fresh(&id) && !may_create) return fail_empty(db, err);
    if (is_fresh(&id)) {
        if ((st = database_begin(db, err))) return st;
        st = write_schema(db, schema, err);
        if (!st) st = database_commit(db, err);
        if (st) {
            database_rollback(db);
            return st;
        }
        if ((st = database_check(db, read_identity(db, &id), err))) return st;
    }
    if ((st = check_identity(db, &id, schema, err))) return st;
    if ((st = use_log(db, err))) return st;
    return database_run(db, "PRAGMA foreign_keys = ON", err);
}

status database_open(database **out, const char *path, database_mode mode,
                     const database_schema *schema, errbuf *err) {
    assert(schema->version >= 1);
    if (!*path) return fail(err, ST_INVALID, "the name of the %s is empty", schema->kind);
    database *db = calloc(1, sizeof(*db));
    if (db) db->path = strdup(path);
    if (!db || !db->path) {
        database_close(db);
        return fail(err, ST_NO_MEMORY, "%s: out of memory", path);
    }
    db->kind = schema->kind;
    status st = mode == DATABASE_READ ? open_to_read(db, schema, err)
                                      : open_to_write(db, schema, mode == DATABASE_CREATE, err);
    if (st) {
        database_close(db);
        return st;
    }
    *out = db;
    return ST_OK;
}
