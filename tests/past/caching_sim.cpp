#include "caching_sim.hpp"

#include <algorithm>
#include <cmath>
#include <list>
#include <memory>
#include <unordered_map>

#include "cache/greedy_dual_size.hpp"
#include "pastry/ring.hpp"

namespace past::test {
namespace {

using base::Guid;

class Cache {
  public:
    virtual ~Cache() = default;
    virtual std::vector<Guid> insert(const Guid& id, std::uint64_t size) = 0;
    virtual bool touch(const Guid& id) = 0;
    virtual std::vector<Guid> set_limit(std::uint64_t bytes) = 0;
    [[nodiscard]] virtual bool contains(const Guid& id) const = 0;
    [[nodiscard]] virtual std::uint64_t bytes() const = 0;
};

class GreedyDualCache final : public Cache {
  public:
    explicit GreedyDualCache(CacheRules rules) : policy_{0, rules} {}
    std::vector<Guid> insert(const Guid& id, std::uint64_t size) override { return policy_.insert(id, size); }
    bool touch(const Guid& id) override { return policy_.touch(id); }
    std::vector<Guid> set_limit(std::uint64_t bytes) override { return policy_.set_limit(bytes); }
    [[nodiscard]] bool contains(const Guid& id) const override { return policy_.contains(id); }
    [[nodiscard]] std::uint64_t bytes() const override { return policy_.bytes(); }

  private:
    GreedyDualSize policy_;
};

/// Admits what GreedyDual-Size admits.
class LruCache final : public Cache {
  public:
    std::vector<Guid> insert(const Guid& id, std::uint64_t size) override {
        if (touch(id) || size > limit_) return {};
        auto evicted = shrink_to(limit_ - size);
        order_.push_back({id, size});
        at_[id] = std::prev(order_.end());
        bytes_ += size;
        return evicted;
    }
    bool touch(const Guid& id) override {
        const auto found = at_.find(id);
        if (found == at_.end()) return false;
        order_.splice(order_.end(), order_, found->second);
        return true;
    }
    std::vector<Guid> set_limit(std::uint64_t bytes) override {
        limit_ = bytes;
        return shrink_to(bytes);
    }
    [[nodiscard]] bool contains(const Guid& id) const override { return at_.contains(id); }
    [[nodiscard]] std::uint64_t bytes() const override { return bytes_; }

  private:
    std::vector<Guid> shrink_to(std::uint64_t bytes) {
        std::vector<Guid> evicted;
        while (bytes_ > bytes) {
            evicted.push_back(order_.front().first);
            bytes_ -= order_.front().second;
            at_.erase(order_.front().first);
            order_.pop_front();
        }
        return evicted;
    }
    std::uint64_t limit_ = 0, bytes_ = 0;
    std::list<std::pair<Guid, std::uint64_t>> order_;  // used longest ago first
    std::unordered_map<Guid, std::list<std::pair<Guid, std::uint64_t>>::iterator> at_;
};

/// Files by how much they are asked for.
class Zipf {
  public:
    Zipf(std::uint64_t count, double exponent) {
        double sum = 0;
        for (std::uint64_t rank = 1; rank <= count; ++rank) {
            sum += std::pow(static_cast<double>(rank), -exponent);
            up_to_.push_back(sum);
        }
    }
    [[nodiscard]] std::size_t draw(Draw& draw) const {
        const auto at = std::ranges::lower_bound(up_to_, draw.unit() * up_to_.back());
        return static_cast<std::size_t>(std::min(at, up_to_.end() - 1) - up_to_.begin());
    }

  private:
    std::vector<double> up_to_;
};

Guid cache_id(std::uint64_t file) {
    Guid::Array bytes{};
    const auto spread = file * 0x9E3779B97F4A7C15U;  // its first bytes are what a Guid is hashed by
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[i] = static_cast<std::uint8_t>(spread >> (56 - 8 * i));
        bytes[8 + i] = static_cast<std::uint8_t>(file >> (56 - 8 * i));
    }
    return Guid{bytes};
}
std::uint64_t file_of(const Guid& id) {
    std::uint64_t file = 0;
    for (std::size_t i = 8; i < 16; ++i) file = file << 8U | id.bytes()[i];
    return file;
}

/// Machines, their Pastry nodes with tables by an oracle, and how far they are from each other. Peers are numbered as
/// in the storage model: in the order of their ids.
class Overlay {
  public:
    Overlay(std::size_t peers, std::uint64_t seed) : ring_{seed} {
        using namespace std::chrono_literals;
        ring_.world.network().use_plane_latency(50us, 100us);
        ring_.add_directly(peers);
        for (pastry::testing::NodeIndex i = 0; i < ring_.size(); ++i) by_id_.push_back(i);
        std::ranges::sort(by_id_, {}, [&](auto index) { return ring_.world.node(index).id(); });
        for (std::size_t peer = 0; peer < by_id_.size(); ++peer) ids_.push_back(ring_.world.node(by_id_[peer]).id());
    }
    [[nodiscard]] const std::vector<base::NodeId>& ids() const { return ids_; }
    [[nodiscard]] std::optional<std::uint32_t> next_hop(std::uint32_t from, const Guid& key) {
        const auto hops = ring_.node(by_id_[from]).next_hops(key, 1);
        if (hops.empty() || hops[0].node.id() == ids_[from]) return std::nullopt;
        const auto at = std::ranges::lower_bound(ids_, hops[0].node.id());
        return static_cast<std::uint32_t>(at - ids_.begin());
    }
    [[nodiscard]] double distance(std::uint32_t a, std::uint32_t b) const {
        return static_cast<double>(ring_.world.network().latency(by_id_[a], by_id_[b]).count());
    }

  private:
    mutable pastry::testing::Ring ring_;
    std::vector<pastry::testing::NodeIndex> by_id_;
    std::vector<base::NodeId> ids_;
};

class Model {
  public:
    explicit Model(const CachingOptions& options)
        : options_{options},
          overlay_{options.peers, options.seed},
          store_{storage_options()},
          files_(options.catalogue),
          draw_{options.seed, 4},
          sizes_{options.seed, 3} {
        for (std::size_t peer = 0; peer < options.peers; ++peer) {
            caches_.push_back(make_cache());
            fit(static_cast<std::uint32_t>(peer));
        }
    }
    CachingResult run() {
        const Zipf zipf{options_.catalogue, options_.zipf};
        for (std::uint64_t i = 0; i < options_.requests; ++i) {
            const auto file = zipf.draw(draw_);
            const auto client = static_cast<std::uint32_t>(draw_.below(options_.peers));
            if (files_[file].state == State::unknown) {
                insert(client, file);
            } else if (files_[file].state == State::kept) {
                options_.caching == Caching::reader ? read(client, file) : look_up(client, file);
            }
        }
        result_.store = store_.figures();
        return std::move(result_);
    }

  private:
    enum class State : std::uint8_t { unknown, kept, refused };
    struct File {
        std::uint32_t size = 0;
        State state = State::unknown;
        Guid key;
        std::vector<StorageModel::Copy> copies;
        std::vector<std::uint32_t> cached_by;  // `reader` only
    };

    StorageOptions storage_options() const {
        StorageOptions options;  // PAST's: t_pri 0.1, t_div 0.05, l = 32, k = 5
        options.ids = overlay_.ids();
        options.peers = options_.peers;
        options.seed = options_.seed;
        return options;
    }
    std::unique_ptr<Cache> make_cache() const {
        if (options_.caching == Caching::lru) return std::make_unique<LruCache>();
        if (options_.caching == Caching::greedy_dual) return std::make_unique<GreedyDualCache>(CacheRules{1.0, 1});
        return std::make_unique<GreedyDualCache>(CacheRules{0.5, 4096});  // as BlockCache has it
    }
    /// PAST: all that is unused; ours: half of it.
    void fit(std::uint32_t peer) {
        if (options_.caching == Caching::none) return;
        const auto unused = store_.free_bytes(peer);
        forget(peer, caches_[peer]->set_limit(options_.caching == Caching::reader ? unused / 2 : unused));
        if (caches_[peer]->bytes() > unused) result_.cache_stayed_in_unused_space = false;
    }
    void forget(std::uint32_t peer, const std::vector<Guid>& evicted) {
        if (options_.caching != Caching::reader) return;
        for (const auto& id : evicted) std::erase(files_[file_of(id)].cached_by, peer);
    }
    void cache(std::uint32_t peer, std::size_t file) {
        if (options_.caching == Caching::none) return;
        const auto id = cache_id(file);
        forget(peer, caches_[peer]->insert(id, files_[file].size));
        if (options_.caching == Caching::reader && caches_[peer]->contains(id)) {
            files_[file].cached_by.push_back(peer);
        }
    }
    static bool has_copy(const File& file, std::uint32_t peer) {
        return std::ranges::find(file.copies, peer, &StorageModel::Copy::peer) != file.copies.end();
    }
    CachingFigures& figures() {
        const auto percent = 100 * store_.figures().utilisation();
        std::size_t at = CachingResult::kFrom.size() - 1;
        while (at > 0 && percent < CachingResult::kFrom[at]) --at;
        return result_.at[at];
    }

    void insert(std::uint32_t client, std::size_t number) {
        auto& file = files_[number];
        const auto size = draw_size(sizes_, options_.sizes);
        file.size = static_cast<std::uint32_t>(size);
        const auto copies = store_.insert(size);
        file.state = copies ? State::kept : State::refused;
        if (!copies) return;
        file.key = store_.last_key();
        file.copies = *copies;
        for (const auto& copy : file.copies) fit(copy.peer);
        if (options_.caching == Caching::reader) return;  // puts are not cached
        for (auto at = client;;) {
            if (!has_copy(file, at)) cache(at, number);
            const auto next = overlay_.next_hop(at, file.key);
            if (!next) break;
            at = *next;
        }
    }

    /// From node to node towards the key, until one has the file or knows by a pointer who has.
    void look_up(std::uint32_t client, std::size_t number) {
        const auto& file = files_[number];
        auto& figures = this->figures();
        ++figures.look_ups;
        const auto id = cache_id(number);
        std::vector<std::uint32_t> way;
        for (auto at = client;;) {
            if (has_copy(file, at)) {
                figures.own_copies += at == client ? 1 : 0;
                break;
            }
            if (options_.caching != Caching::none && caches_[at]->touch(id)) {
                ++figures.hits;
                break;
            }
            way.push_back(at);
            ++figures.hops;
            if (std::ranges::find(file.copies, at, &StorageModel::Copy::holder) != file.copies.end()) break;
            const auto next = overlay_.next_hop(at, file.key);
            if (!next) break;
            at = *next;
        }
        for (const auto peer : way) cache(peer, number);
    }

    void read(std::uint32_t client, std::size_t number) {
        const auto& file = files_[number];
        auto& figures = this->figures();
        ++figures.look_ups;
        if (has_copy(file, client)) {
            ++figures.own_copies;
            return;
        }
        if (caches_[client]->touch(cache_id(number))) {
            ++figures.hits;
            return;
        }
        ++figures.hops;
        const auto how_far = [&](std::uint32_t peer) { return overlay_.distance(client, peer); };
        double to_holder = how_far(file.copies[0].peer);
        for (const auto& copy : file.copies) to_holder = std::min(to_holder, how_far(copy.peer));
        double nearest = to_holder;
        for (const auto peer : file.cached_by) nearest = std::min(nearest, how_far(peer));
        figures.near_hits += nearest < to_holder ? 1 : 0;
        figures.distance += nearest / to_holder;
        ++figures.fetched;
        cache(client, number);
    }

    const CachingOptions options_;
    Overlay overlay_;
    StorageModel store_;
    std::vector<File> files_;
    std::vector<std::unique_ptr<Cache>> caches_;
    Draw draw_;
    Draw sizes_;
    CachingResult result_;
};

}  // namespace

CachingResult run_caching(const CachingOptions& options) { return Model{options}.run(); }

}  // namespace past::test
