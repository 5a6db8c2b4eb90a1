#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Runs every file of a corpus through a fuzz target, then each file cut at
 * every length and with each of its bytes flipped, up to a bound: a small fuzzer
 * that needs no compiler support and gives the same run every time.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_BYTES_MAX (1 << 20)
#define REPLAY_MUTATED_MAX 4096

static void run_copy(const uint8_t *data, size_t size)
{
    /* An allocation of the exact size, so that a sanitizer sees one byte more. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy != NULL) {
        memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
}

static void run_variants(uint8_t *data, size_t size)
{
    run_copy(data, size);
    size_t step = size / REPLAY_MUTATED_MAX + 1;
    for (size_t i = 0; i < size; i += step) {
        run_copy(data, i);
        uint8_t kept = data[i];
        data[i] = (uint8_t)(kept ^ (1U << (i % 8)));
        run_copy(data, size);
        data[i] = kept;
    }
}

static int run_file(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(REPLAY_BYTES_MAX);
    if (file == NULL || data == NULL) {
        (void)fprintf(stderr, "cannot read %s\n", path);
        free(data);
        if (file != NULL) {
            (void)fclose(file);
        }
        return 1;
    }
    size_t size = fread(data, 1, REPLAY_BYTES_MAX, file);
    (void)fclose(file);
    run_variants(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (folder == NULL) {
        (void)fprintf(stderr, "no corpus at %s\n", argv[1]);
        return 1;
    }
    int faults = 0;
    int files = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            faults += run_file(argv[1], entry->d_name);
            files++;
        }
    }
    (void)closedir(folder);
    (void)printf("%d files\n", files);
    return faults == 0 && files > 0 ? 0 : 1;
}
