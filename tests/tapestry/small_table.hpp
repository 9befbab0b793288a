// A small pointer table, and publishers for it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/membership.hpp"
#include "pointers/pointer_table.hpp"

namespace tapestry::testing {

using namespace std::chrono_literals;
using Taken = PointerTable::Taken;

inline base::Guid guid(std::string_view digits) { return *base::Guid::from_prefix(digits); }

/// A publisher by number.
struct Publisher {
    explicit Publisher(std::uint8_t number) : identity{base::SigningKey{base::Key{number}}, base::Key{number}, {}} {}
    [[nodiscard]] base::NodeId id() const { return base::node_id(identity.key.public_key(), identity.salt); }
    [[nodiscard]] Held says(std::vector<base::Guid> objects, std::uint64_t stamp, std::chrono::seconds lease = 60s,
                            base::Duration delay = 1ms) const {
        std::ranges::sort(objects);
        return {Announcement::sign(identity, {"h:1", 0, stamp, lease}, objects), delay, 1, {}, {}};
    }
    /// For a root other than the first.
    [[nodiscard]] Held says_for(std::uint8_t root, const base::Guid& what, std::uint64_t stamp,
                                std::chrono::seconds lease = 60s) const {
        return {Announcement::sign(identity, {"h:1", root, stamp, lease}, {&what, 1}), 1ms, 1, {}, {}};
    }
    Identity identity;
};

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Table : ::testing::Test {
    Taken take(Held held) {
        const auto size = held.announcement.size();
        return table.take(now, std::move(held), {0, size}, true);
    }
    std::vector<base::NodeId> publishers(const base::Guid& of) {
        std::vector<base::NodeId> ids;
        for (const auto& pointer : table.find(now, of)) ids.push_back(pointer.publisher.id);
        return ids;
    }

    static Denial denial_of(const Publisher& who, const base::Guid& what) {
        return {.object = what, .publisher = who.id(), .withdrawal = {}, .born = 0};
    }
    /// With a withdrawal of this stamp; 0: with none.
    void denies(const Publisher& who, const base::Guid& what, std::uint64_t withdrawn = 0) {
        auto denial = denial_of(who, what);
        if (withdrawn > 0) denial.withdrawal = who.says({what}, withdrawn, 0s).announcement;
        table.denied(now, denial);
    }

    base::TimePoint now{};
    PointerTable table{{.per_object = 4, .pointers = 2000, .tombstone = 100s, .penalty = 10s, .forgiven = 1}};
    Publisher ann{1};
    Publisher bob{2};
    base::Guid object = guid("42");
};

}  // namespace tapestry::testing
