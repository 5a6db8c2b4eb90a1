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

static int run_file(const char *path)
{
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

/* Files of the folder and of those in it; returns how many could not be read. */
static int run_folder(const char *path, int *file_count)
{
    int faults = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        (void)fprintf(stderr, "no corpus at %s\n", path);
        return 1;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char inner[4096];
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (entry->d_type == DT_DIR) {
            faults += run_folder(inner, file_count);
        } else {
            faults += run_file(inner);
            (*file_count)++;
        }
    }
    (void)closedir(folder);
    return faults;
}

int main(int argc, char **argv)
{
    int file_count = 0;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    int faults = run_folder(argv[1], &file_count);
    (void)printf("%d files\n", file_count);
    return faults == 0 && file_count > 0 ? 0 : 1;
}
