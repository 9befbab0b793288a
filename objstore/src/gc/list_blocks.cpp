#include "gc/list_blocks.hpp"

#include <exception>
#include <memory>
#include <optional>

#include "base/task_group.hpp"

namespace objstore::gc {
namespace {

constexpr std::size_t kGroupsAtOnce = 8;
constexpr base::Duration kTimeout = std::chrono::seconds{60};

/// An id that begins with these bits, the last of which is the lowest of `prefix`; zeros follow.
base::Guid id_beginning(std::uint64_t prefix, unsigned bits) {
    base::Guid::Array bytes{};
    for (unsigned i = 0; i < bits; ++i) {
        if ((prefix >> (bits - 1 - i) & 1U) != 0) bytes[i / 8] |= static_cast<std::uint8_t>(0x80U >> (i % 8));
    }
    return base::Guid{bytes};
}

struct Listing {
    Listing(Volume& of, Slice part, PageFunction called, bool everything)
        : volume{of}, slice{part}, page{std::move(called)}, all{everything}, groups{of.env().executor, kGroupsAtOnce} {}

    static base::Task<void> list_group(std::shared_ptr<Listing> self, base::Guid placement_group,
                                       base::Semaphore::Permit permit);
    base::Task<base::Result<past::TaggedBlocks>> ask(base::Guid placement_group, base::Guid after);

    Volume& volume;
    Slice slice;
    PageFunction page;
    bool all;
    base::Semaphore groups;
    bool found = false;  // at this number of bits
    unsigned in_part = 0;
    std::optional<base::Error> failed;
};

base::Task<base::Result<past::TaggedBlocks>> Listing::ask(base::Guid placement_group, base::Guid after) {
    past::BlockQuery query;
    query.group = placement_group;
    query.tag = {.volume = volume.keys().tag, .generation = UINT64_MAX};
    query.owner = volume.owner().public_key();
    query.name_digest = name_digest(volume.name());
    query.all = all;
    query.signature = volume.owner().sign("pelago list", query.body());
    return volume.storage().list(query, after, volume.env().clock.now() + kTimeout);
}

base::Task<void> Listing::list_group(std::shared_ptr<Listing> self, base::Guid placement_group,
                                     base::Semaphore::Permit /*permit: until it is done*/) {
    bool silent = false;
    base::Guid after;
    for (bool more = true; more && !self->failed;) {
        auto answer = co_await self->ask(placement_group, after);
        base::Result<void> done = base::ok();
        if (answer) {
            self->found = self->found || !answer->blocks.empty();
            silent = silent || answer->answered < answer->holders;
            more = answer->more;
            after = answer->up_to;
            std::erase_if(answer->blocks, [&](const auto& block) { return !self->slice.holds(block.id); });
            if (!answer->blocks.empty()) done = co_await self->page(placement_group, std::move(answer->blocks));
        } else {
            done = answer.error();
        }
        if (!done && !self->failed) self->failed = done.error();
    }
    self->in_part += silent ? 1 : 0;
}

}  // namespace

base::Task<base::Result<unsigned>> list_blocks(Volume& volume, unsigned least_bits, Slice slice, PageFunction page,
                                               bool all) {
    const auto listing = std::make_shared<Listing>(volume, slice, std::move(page), all);
    for (unsigned bits = kMinGroupBits; bits <= kMaxGroupBits; ++bits) {
        listing->found = false;
        base::TaskGroup group{volume.env().executor};
        for (std::uint64_t prefix = 0; prefix < std::uint64_t{1} << bits && !listing->failed; ++prefix) {
            const auto first = id_beginning(prefix, bits);
            if (bits >= slice.bits && !slice.holds(first)) continue;
            const auto placement_group = group_of(volume.keys().tag, static_cast<std::uint8_t>(bits), first);
            auto permit = co_await listing->groups.acquire();
            group.spawn(Listing::list_group(listing, placement_group, std::move(permit)));
        }
        co_await group.join();
        if (listing->failed) co_return *listing->failed;
        if (!listing->found && bits >= least_bits) break;
    }
    co_return listing->in_part;
}

}  // namespace objstore::gc
