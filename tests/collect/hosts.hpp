// Hosts of one volume on a simulated PAST whose peers die and come back.
#pragma once

#include <map>
#include <string>

#include "base/sim/local_tree.hpp"
#include "objstore/error.hpp"
#include "objstore/volume.hpp"
#include "past/cluster.hpp"
#include "past/passing_storage.hpp"
#include "support/samples.hpp"

namespace collect_test {

using namespace std::chrono_literals;
using base::Result;
using base::Task;
using objstore::Volume;
namespace sim = base::sim;

constexpr std::size_t kPeers = 6;  // of which the hosts' own, 0 and 1, do not die

using support::noise;
using support::owner_key;

/// A mistake that is made on the way to PAST, to see that the invariant notices it.
enum class Planted { nothing, reclaims_whatever_the_generation, dedup_without_touch };

/// The storage of one host: slow, so that what the other does falls into the middle of a backup.
class HostStorage final : public past::PassingStorage {
  public:
    HostStorage(base::NodeEnv env, past::Storage& below, Planted planted)
        : PassingStorage{below}, env_{env}, planted_{planted} {}

    Task<Result<past::PutOutcome>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                       past::Wait wait, base::TimePoint deadline) override {
        co_await env_.clock.sleep_for(std::chrono::milliseconds{env_.rng.below(1500)});
        co_return co_await PassingStorage::put(group, tag, std::move(blocks), wait, deadline);
    }
    Task<Result<std::vector<bool>>> touch(base::Guid group, past::Tag tag, std::vector<base::Guid> ids,
                                          base::TimePoint deadline) override {
        if (planted_ == Planted::dedup_without_touch) tag.generation = 1;
        return PassingStorage::touch(group, tag, std::move(ids), deadline);
    }
    Task<Result<void>> remove(past::Reclaim reclaim, base::TimePoint deadline) override {
        if (planted_ == Planted::reclaims_whatever_the_generation) {
            reclaim.tag.generation = UINT64_MAX;
            reclaim.signature = owner_key().sign("pelago reclaim", reclaim.body());
        }
        return PassingStorage::remove(std::move(reclaim), deadline);
    }

  private:
    base::NodeEnv env_;
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
