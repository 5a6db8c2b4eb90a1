#include "payload_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Numbers are little-endian, as is every machine that this runs on. A file that
 * is refused ends the program, so nothing is released then either.
 */

static const char MAGIC[8] = "SBPAYLD1";
static const char START[] = "POST /v1/hooks/";

enum {
    HEAD_SIZE = 32,
    SOURCE_SIZE = 36,
};

static char *map(const char *path, size_t *out_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat found;
    char *data = NULL;
    if (fd >= 0 && fstat(fd, &found) == 0 && found.st_size > HEAD_SIZE) {
        data = mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE,
                    fd, 0);
        *out_size = (size_t)found.st_size;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return data == MAP_FAILED ? NULL : data;
}

const char *payload_file_open(const char *path, const char *source, struct payload_file *out_file)
{
    size_t size = 0;
    char *data = map(path, &size);
    if (data == NULL || memcmp(data, MAGIC, sizeof(MAGIC)) != 0) {
        return "no file of payloads";
    }
    if (strlen(source) != SOURCE_SIZE) {
        return "the source is no id";
    }
    struct payload_file file;
    memcpy(&file.count, data + 8, 8);
    memcpy(&file.first_order, data + 16, 8);
    memcpy(&file.body_bytes, data + 24, 8);
    file.requests = calloc(file.count + 1, sizeof(*file.requests));
    if (file.requests == NULL) {
        return "memory";
    }
    size_t at = HEAD_SIZE;
    for (uint64_t i = 0; i < file.count; i++) {
        struct payload_request *request = &file.requests[i];
        if (size - at < 8) {
            return "the file of payloads is cut";
        }
        memcpy(&request->size, data + at, 4);
        memcpy(&request->body_offset, data + at + 4, 4);
        at += 8;
        if (size - at < request->size || request->size <= request->body_offset ||
            request->size < sizeof(START) + SOURCE_SIZE) {
            return "the file of payloads is cut";
        }
        if (memcmp(data + at, START, sizeof(START) - 1) == 0) {
            memcpy(data + at + sizeof(START) - 1, source, SOURCE_SIZE);
        }
        request->data = data + at;
        at += request->size;
    }
    *out_file = file;
    return NULL;
}
