// How fast a plain native loop answers the question of `iommulator tlb`: the yardstick of bench/cache.bench.ts.
//
// Two levels of 16x4 and 128x12 entries, 4 KiB pages, LRU as order within the set. A miss of the first level looks up the
// second, a miss there fills both; neither contains the other. An access whose last byte is in the next page is two.
//
// Input: u64 little endian, bits 0..47 address, 48..51 kind (0 fetch, 1 read, 2 write, 3 modify), 52..63 bytes.
// usage: tlb_ref unified|split FILE REPEATS     one first level for all, or one for fetches and one for data
// Output: one line of JSON; `ns` is CPU time per access, the least of the repeats.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

template <int SETS, int WAYS> struct Cache {
  uint64_t pages[SETS][WAYS];
  Cache() { memset(pages, 0xff, sizeof pages); }

  // Whether the page was there; it is the most recent of its set afterwards.
  bool touch(uint64_t page) {
    uint64_t *set = pages[page % SETS];
    if (__builtin_expect(set[0] == page, 1)) return true;
    uint64_t before = set[0];
    for (int way = 1; way < WAYS; way++) {
      const uint64_t here = set[way];
      set[way] = before;
      before = here;
      if (here == page) {
        set[0] = page;
        return true;
      }
    }
    set[0] = page;
    return false;
  }
};

struct Counts {
  uint64_t accesses = 0, misses = 0, l2Misses = 0;
};

template <bool SPLIT> __attribute__((noinline)) Counts run(const std::vector<uint64_t> &records) {
  auto fetch = std::make_unique<Cache<16, 4>>();
  auto data = std::make_unique<Cache<16, 4>>();
  auto l2 = std::make_unique<Cache<128, 12>>();
  Counts counts;
  for (const uint64_t record : records) {
    const uint64_t address = record & 0xffffffffffff;
    Cache<16, 4> &first = SPLIT && (record >> 48 & 15) == 0 ? *fetch : *data;
    uint64_t page = address >> 12;
    const bool crosses = (address & 4095) + (record >> 52) > 4096;
    for (int half = 0; half <= crosses; half++, page++) {
      counts.accesses++;
      if (__builtin_expect(!first.touch(page), 0)) {
        counts.misses++;
        counts.l2Misses += !l2->touch(page);
      }
    }
  }
  return counts;
}

int main(int count, char **argument) {
  if (count != 4) return fputs("usage: tlb_ref unified|split FILE REPEATS\n", stderr), 2;
  FILE *file = fopen(argument[2], "rb");
  if (!file) return perror(argument[2]), 2;
  fseek(file, 0, SEEK_END);
  std::vector<uint64_t> records(ftell(file) / 8);
  rewind(file);
  if (fread(records.data(), 8, records.size(), file) != records.size()) return perror(argument[2]), 2;
  fclose(file);

  const bool split = strcmp(argument[1], "split") == 0;
  Counts counts;
  double least = 1e300;
  for (int i = 0; i < atoi(argument[3]); i++) {
    const clock_t start = clock();
    counts = split ? run<true>(records) : run<false>(records);
    const double seconds = double(clock() - start) / CLOCKS_PER_SEC;
    if (seconds < least) least = seconds;
  }
  printf("{\"accesses\":%llu,\"misses\":%llu,\"l2Misses\":%llu,\"ns\":%.4f}\n", (unsigned long long)counts.accesses,
         (unsigned long long)counts.misses, (unsigned long long)counts.l2Misses, least * 1e9 / counts.accesses);
}
