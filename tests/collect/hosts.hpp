// Hosts of one volume on a simulated PAST whose peers die and come back.
#pragma once

#include <map>
#include <random>
#include <string>

#include "base/sim/local_tree.hpp"
#include "objstore/error.hpp"
#include "objstore/volume.hpp"
#include "past/cluster.hpp"

namespace collect_test {

using namespace std::chrono_literals;
using base::Result;
using base::Task;
using objstore::Volume;
namespace sim = base::sim;

constexpr std::size_t kPeers = 6;  // of which the hosts' own, 0 and 1, do not die

inline base::SigningKey owner_key() {
    base::Key seed{};
    seed.fill(7);
    return base::SigningKey{seed};
}

inline base::Bytes noise(std::size_t size, std::uint32_t seed) {
    std::mt19937 random{seed};
    base::Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

/// A mistake that is made on the way to PAST, to see that the invariant notices it.
enum class Planted { nothing, reclaims_whatever_the_generation, dedup_without_touch };

/// The storage of one host: slow, so that what the other does falls into the middle of a backup.
class HostStorage final : public past::Storage {
  public:
    HostStorage(base::NodeEnv env, past::Storage& below, Planted planted)
        : env_{env}, below_{below}, planted_{planted} {}

    Task<Result<past::PutOutcome>> put(base::Guid place, past::Tag tag, std::vector<past::Block> blocks,
                                       past::Wait wait, base::TimePoint deadline) override {
        co_await env_.clock.sleep_for(std::chrono::milliseconds{env_.rng.below(1500)});
        co_return co_await below_.put(place, tag, std::move(blocks), wait, deadline);
    }
    Task<Result<base::SharedBytes>> get(base::Guid place, base::Guid id, base::TimePoint deadline) override {
        return below_.get(place, id, deadline);
    }
    Task<Result<std::vector<bool>>> touch(base::Guid place, past::Tag tag, std::vector<base::Guid> ids,
                                          base::TimePoint deadline) override {
        if (planted_ == Planted::dedup_without_touch) tag.generation = 1;
        return below_.touch(place, tag, std::move(ids), deadline);
    }
    Task<Result<void>> remove(past::Reclaim reclaim, base::TimePoint deadline) override {
        if (planted_ == Planted::reclaims_whatever_the_generation) {
            reclaim.tag.generation = UINT64_MAX;
            reclaim.signature = owner_key().sign("pelago reclaim", reclaim.body());
        }
        return below_.remove(std::move(reclaim), deadline);
    }
    Task<Result<past::TaggedBlocks>> list(past::BlockQuery query, base::Guid after, base::TimePoint deadline) override {
        return below_.list(query, after, deadline);
    }
    Task<Result<std::optional<past::Record>>> read_record(base::Guid key, base::TimePoint deadline) override {
        return below_.read_record(key, deadline);
    }
    Task<Result<past::ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override {
        return below_.read_any_record(key, deadline);
    }
    Task<Result<void>> write_record(base::Guid key, std::uint64_t expected, past::Record next,
                                    base::TimePoint deadline) override {
        return below_.write_record(key, expected, std::move(next), deadline);
    }
    Task<Result<void>> restore_record(base::Guid key, past::Record lost, base::TimePoint deadline) override {
        return below_.restore_record(key, std::move(lost), deadline);
    }

  private:
    base::NodeEnv env_;
    past::Storage& below_;
    Planted planted_;
};

/// One machine: its files, what it remembers of the volume, its cache.
struct Host {
    Host(std::string named, base::NodeEnv doors, past::Storage& below, Planted planted)
        : name{std::move(named)},
          env{doors},
          storage{env, below, planted},
          marks{objstore::make_disk_high_water(env, name + "/marks")} {}

    std::string name;
    base::NodeEnv env;
    HostStorage storage;
    std::unique_ptr<objstore::HighWater> marks;
    sim::LocalTree tree;
    std::int64_t ticks = 0;
};

inline Task<Result<std::unique_ptr<Volume>>> open_volume(Host* host) {
    auto opened = co_await Volume::open(host->env, host->storage, *host->marks, owner_key(), "archive");
    if (!opened && opened.error() == objstore::Errc::no_such_volume) {
        opened = co_await Volume::create(host->env, host->storage, *host->marks, owner_key(), "archive");
    }
    co_return opened;
}

inline past::test::ClusterOptions cluster_options() {
    past::test::ClusterOptions options;
    options.peers = kPeers;
    options.reclaim_grace = 20s;
    options.repair_after = 60s;
    options.peer.config.check_period = 10s;
    options.peer.store.segment_bytes = 1U << 20U;
    return options;
}

/// At most one peer is down, and none of those that the hosts ask.
class Harm {
  public:
    explicit Harm(past::test::Cluster& cluster) : cluster_{cluster} {}

    void strike(std::uint64_t draw) {
        if (down_) {
            revive();
            return;
        }
        down_ = 2 + draw / 2 % (kPeers - 2);
        if (draw % 2 == 0) {
            cluster_.kill(*down_);
        } else {
            cluster_.power_off(*down_);
        }
    }
    void revive() {
        if (down_) cluster_.restart(*std::exchange(down_, std::nullopt));
    }

  private:
    past::test::Cluster& cluster_;
    std::optional<std::size_t> down_;
};

}  // namespace collect_test
