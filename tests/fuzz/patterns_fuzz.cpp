// Any bytes as a file of patterns, matched against any path: no crash, no endless matching.
#include "objstore/archive/patterns.hpp"
#include "objstore/archive/scanner.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 2048) return 0;
    const auto text = base::as_text({data, size});
    const auto half = text.size() / 2;
    objstore::archive::Patterns patterns;
    if (!patterns.add_lines(text.substr(0, half), size % 2 == 0)) return 0;
    const auto names = objstore::archive::split(text.substr(half));
    static_cast<void>(patterns.matches(names, size % 3 == 0));
    static_cast<void>(patterns.may_match_below(names));
    return 0;
}
