// Ids and nodes for tests: by textbook prefix, or random from a seed.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pastry/kbr.hpp"

namespace pastry::testing {

inline base::Guid id(std::string_view prefix) { return base::Guid::from_prefix(prefix).value(); }

inline NodeHandle node(const base::NodeId& node_id) {
    return {.address = {.id = node_id, .endpoint = node_id.short_hex()}, .failure_domain = {}};
}
inline NodeHandle node(std::string_view prefix) { return node(id(prefix)); }

class Ids {
  public:
    explicit Ids(std::uint64_t seed) : engine_{seed} {}
    base::Guid next() {
        base::Guid::Array bytes{};
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
        return base::Guid{bytes};
    }
    std::vector<base::Guid> some(std::size_t count) {
        std::vector<base::Guid> out;
        while (out.size() < count) out.push_back(next());
        return out;
    }
    std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    template <class T>
    void shuffle(std::vector<T>& what) {
        for (std::size_t i = what.size(); i > 1; --i) std::swap(what[i - 1], what[below(i)]);
    }

  private:
    std::mt19937_64 engine_;
};

/// All of `ids`, nearest to `key` first: the truth that tables are compared with.
inline std::vector<base::Guid> nearest(std::vector<base::Guid> ids, const base::Guid& key) {
    std::ranges::sort(ids, [&](const auto& a, const auto& b) { return base::closer(key, a, b); });
    return ids;
}

}  // namespace pastry::testing
