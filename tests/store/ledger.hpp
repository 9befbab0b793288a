// What a store has promised, kept outside it: for each block and record the states it may be in.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "contract/blocks.hpp"
#include "past/error.hpp"
#include "past/segment_store.hpp"

namespace store_test {

using base::Guid;
using base::Task;
using contract::block_of;
using contract::guid_of;
using past::Block;
using past::SegmentStore;
using past::Tag;

/// Tags of a block by volume; without any it is not held.
using Tags = std::map<Guid, std::uint64_t>;

/// Between the call and its answer an operation may or may not have happened; afterwards it has (or, refused, has not).
/// An error that leaves it open keeps both states possible for good.
class Ledger {
  public:
    static Guid group() { return guid_of("place"); }

    Task<void> put(SegmentStore& store, Tag tag, std::vector<Block> blocks) {
        std::map<Guid, std::set<Tags>> before;
        std::vector<Guid> ids;
        for (const auto& block : blocks) {
            bytes_.insert_or_assign(block.id, block.bytes);
            ids.push_back(block.id);
        }
        begin(ids, before, [&](Tags& tags) { raise(tags, tag); });
        const auto done = co_await store.put(group(), tag, std::move(blocks));
        end(before, done ? std::nullopt : std::optional{done.error()}, [&](Tags& tags) { raise(tags, tag); });
    }

    Task<void> touch(SegmentStore& store, Tag tag, std::vector<Guid> ids) {
        std::map<Guid, std::set<Tags>> before;
        const auto change = [tag](Tags& tags) {
            if (!tags.empty()) raise(tags, tag);
        };
        begin(ids, before, change);
        const auto done = co_await store.touch(tag, ids);
        end(before, done ? std::nullopt : std::optional{done.error()}, change);
        if (!done) co_return;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (!(*done)[i]) continue;
            std::erase_if(states_[ids[i]], [](const Tags& tags) { return tags.empty(); });
            if (states_[ids[i]].empty()) broken_ = "touch() claims a block that was dropped";
        }
    }

    Task<void> untag(SegmentStore& store, Tag tag, std::vector<Guid> ids) {
        std::map<Guid, std::set<Tags>> before;
        const auto change = [tag](Tags& tags) {
            const auto had = tags.find(tag.volume);
            if (had != tags.end() && had->second <= tag.generation) tags.erase(had);
        };
        begin(ids, before, change);
        const auto done = co_await store.untag(tag, ids);
        end(before, done ? std::nullopt : std::optional{done.error()}, change);
    }

    Task<void> discard(SegmentStore& store, std::vector<Guid> ids) {
        std::map<Guid, std::set<Tags>> before;
        const auto change = [](Tags& tags) { tags.clear(); };
        begin(ids, before, change);
        const auto done = co_await store.discard(ids);
        end(before, done ? std::nullopt : std::optional{done.error()}, change);
    }

    Task<void> put_record(SegmentStore& store, Guid key, std::string_view text) {
        const auto value = base::to_bytes(text);
        const auto before = records_.contains(key) ? records_[key] : Values{std::nullopt};
        auto both = before;
        both.insert(value);
        records_[key] = both;
        const auto done = co_await store.put_record(key, value);
        if (done) {
            records_[key] = {value};
        } else if (refused(done.error())) {
            records_[key] = before;
        }
        note(done ? std::nullopt : std::optional{done.error()});
    }

    /// "" if the store keeps every promise.
    Task<std::string> check(SegmentStore& store) const {
        if (!broken_.empty()) co_return broken_;
        for (const auto& [id, possible] : states_) {
            Tags tags;
            for (const auto& tag : store.tags(id)) tags[tag.volume] = tag.generation;
            if (store.has(id) != !tags.empty()) co_return "has() and tags() differ on " + id.short_hex();
            if (!possible.contains(tags)) co_return describe(id, tags, possible);
            if (tags.empty()) continue;
            const auto got = co_await store.get(id);
            if (!got) {
                // A copy that nobody was promised may turn out to be torn; then it is dropped.
                if (got.error() == past::Errc::corrupt_block && possible.contains(Tags{})) continue;
                co_return "block " + id.short_hex() + ": " + got.error().message();
            }
            const auto wanted = bytes_.at(id).view();
            if (!std::equal(wanted.begin(), wanted.end(), got->view().begin(), got->view().end()))
                co_return "wrong bytes for " + id.short_hex();
        }
        for (const auto& [key, possible] : records_) {
            if (!possible.contains(store.record(key)))
                co_return "record " + key.short_hex() + " is not as acknowledged";
        }
        co_return "";
    }

    [[nodiscard]] const std::vector<base::Error>& errors() const { return errors_; }
    [[nodiscard]] bool promised(const Guid& id) const {
        const auto at = states_.find(id);
        return at != states_.end() && !at->second.contains(Tags{});
    }

  private:
    using Values = std::set<std::optional<base::Bytes>>;

    static void raise(Tags& tags, const Tag& tag) {
        auto& generation = tags[tag.volume];
        generation = std::max(generation, tag.generation);
    }
    /// Certainly not done.
    static bool refused(const base::Error& error) {
        return error == base::Errc::read_only || error == base::Errc::stopped;
    }

    template <class Change>
    void begin(const std::vector<Guid>& ids, std::map<Guid, std::set<Tags>>& before, Change change) {
        for (const auto& id : ids) {
            auto& states = states_[id];
            if (states.empty()) states.insert(Tags{});
            before.try_emplace(id, states);
            for (auto tags : before[id]) {
                change(tags);
                states.insert(std::move(tags));
            }
        }
    }
    template <class Change>
    void end(const std::map<Guid, std::set<Tags>>& before, std::optional<base::Error> error, Change change) {
        for (const auto& [id, states] : before) {
            if (!error) {
                states_[id].clear();
                for (auto tags : states) {
                    change(tags);
                    states_[id].insert(std::move(tags));
                }
            } else if (refused(*error)) {
                states_[id] = states;
            }
        }
        note(std::move(error));
    }
    void note(std::optional<base::Error> error) {
        if (error) errors_.push_back(std::move(*error));
    }

    static std::string describe(const Guid& id, const Tags& tags, const std::set<Tags>& possible) {
        std::string text = "block " + id.short_hex() + " has {" + text_of(tags) + "}, not one of";
        for (const auto& state : possible) text += " {" + text_of(state) + "}";
        return text;
    }
    static std::string text_of(const Tags& tags) {
        std::string text;
        for (const auto& [volume, generation] : tags)
            text += (text.empty() ? "" : " ") + volume.short_hex(4) + ":" + std::to_string(generation);
        return text;
    }

    std::map<Guid, base::SharedBytes> bytes_;
    std::map<Guid, std::set<Tags>> states_;
    std::map<Guid, Values> records_;
    std::vector<base::Error> errors_;
    std::string broken_;
};

/// Everything rolls over all the time.
inline SegmentStore::Config tiny_config() {
    SegmentStore::Config config;
    config.segment_bytes = 4096;
    config.checkpoint_bytes = 512;
    config.state_ahead_bytes = 256;
    config.reserve_bytes = 0;
    config.open_files = 2;
    return config;
}

}  // namespace store_test
