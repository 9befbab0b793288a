#include "daemon/peer_stack.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "objstore/heartbeat.hpp"

namespace tools {

namespace {

constexpr std::chrono::seconds kRetryJoin{5};
constexpr std::size_t kFewSeeds = 8;

pastry::NodeHandle handle_of(const base::NodeEnv& env, const base::NetworkDirectory& network) {
    pastry::NodeHandle self;
    self.address = env.transport.self();
    self.failure_domain = network.certificate().failure_domain;
    return self;
}

std::vector<base::Address> addresses_of(const std::vector<pastry::NodeHandle>& nodes) {
    std::vector<base::Address> addresses;
    addresses.reserve(nodes.size());
    for (const auto& node : nodes) addresses.push_back(node.address);
    return addresses;
}

}  // namespace

PeerStack::PeerStack(base::NodeEnv env, base::NetworkDirectory& network, PeerConfig config)
    : env_{env},
      network_{network},
      config_{std::move(config)},
      view_{network.policy(), network.roster()},
      overlay_{env, handle_of(env, network), config_.overlay},
      location_{env,
                overlay_,
                {network.key(), network.certificate().salt, network.network()},
                [this](const base::NodeId& node) {
                    const auto* member = network_.roster().find(node);
                    return member != nullptr && member->role == base::Role::storage && !member->revoked;
                },
                config_.location},
      tasks_{env.executor} {
    overlay_.admit_only([this](const base::NodeId& node) { return !network_.roster().removed(node); });
}

PeerStack::~PeerStack() = default;

base::Task<base::Result<std::unique_ptr<PeerStack>>> PeerStack::start(base::NodeEnv env,
                                                                      base::NetworkDirectory& network,
                                                                      PeerConfig config) {
    std::unique_ptr<PeerStack> stack{new PeerStack{env, network, std::move(config)}};
    PeerStack& self = *stack;
    self.overlay_.know_members([&network](const base::NodeId& node) { return network.roster().find(node) != nullptr; });
    if (self.is_client()) self.config_.past.repair = false;  // it keeps nothing
    BASE_CO_TRY(self.store_, co_await past::SegmentStore::open(env, self.config_.store));
    self.past_ = std::make_unique<past::Node>(env, self.overlay_, *self.store_, self.view_, &objstore::verify_heartbeat,
                                              self.config_.past);
    self.past_->use(&self.location_);
    self.membership_ = std::make_unique<base::MembershipService>(
        env, network, [&self] { return self.neighbours(); }, [&self] { self.adopted(); },
        [&self](const base::Address& from) { self.met(from); });
    if (self.is_client()) {
        self.overlay_.visit(network.seeds());
    } else {
        self.tasks_.spawn(self.find_ring());
    }
    self.tasks_.spawn(self.remember_seeds());
    co_return stack;
}

/// Whom a client knows it only visits.
std::vector<base::Address> PeerStack::neighbours() const {
    return is_client() ? addresses_of(overlay_.known_peers()) : addresses_of(overlay_.neighbours());
}

bool PeerStack::sole_member() const {
    const auto* us = network_.roster().find(env_.transport.self().id);
    return us != nullptr && us->role == base::Role::storage && !us->revoked && network_.roster().storage_peers() == 1;
}

void PeerStack::begin_alone() {
    alone_ = true;
    overlay_.found();
    location_.start(true);
}

base::Task<void> PeerStack::find_ring() {
    // Who is the only one begins the ring: nobody else was admitted yet, or all others were removed.
    if (sole_member()) {
        begin_alone();
        co_return;
    }
    bool told = false;
    for (;;) {
        auto seeds = network_.seeds();
        const auto joined = co_await overlay_.join(std::move(seeds), env_.clock.now() + config_.join_timeout,
                                                   pastry::Node::IfAllWait::found);
        if (alone_) co_return;
        if (joined) break;
        if (!told) {
            env_.log.write(base::Log::Level::warning, "daemon",
                           "not part of the ring yet, trying on: " + joined.error().message());
        }
        told = true;
        co_await env_.clock.sleep_for(kRetryJoin);
    }
    env_.log.write(base::Log::Level::info, "daemon", "part of the ring");
    location_.start();
    membership_->spread();
}

base::Task<void> PeerStack::remember_seeds() {
    for (;;) {
        const bool few = network_.seeds().size() < kFewSeeds;
        co_await env_.clock.sleep_for(few ? config_.first_seeds : config_.seeds_period);
        // On the executor, although it writes a small file: the directory has one owner, and the list seldom changes.
        if (const auto saved = network_.remember_seeds(seeds_now()); !saved) {
            env_.log.write(base::Log::Level::warning, "daemon",
                           "cannot write down who is up: " + saved.error().message());
        }
    }
}

/// Who is up, then who was: of a ring that comes back one by one nobody is forgotten.
std::vector<base::Address> PeerStack::seeds_now() const {
    auto seeds = addresses_of(overlay_.known_peers());
    for (const auto& old : network_.seeds()) {
        if (std::ranges::find(seeds, old.id, &base::Address::id) == seeds.end()) seeds.push_back(old);
    }
    std::erase_if(seeds, [&](const auto& seed) { return network_.roster().removed(seed.id); });
    return seeds;
}

void PeerStack::network_changed() {
    adopted();
    membership_->spread();
}

void PeerStack::adopted() {
    view_.replace(network_.policy(), network_.roster());
    for (const auto& member : network_.roster().members) {
        if (!member.revoked) continue;
        // While its connection lasts: afterwards nobody speaks to it, and it could only guess why.
        if (const auto known = overlay_.find(member.id)) membership_->greet(known->address);
        overlay_.expel(member.id);
    }
    if (sole_member() && !overlay_.active() && !alone_) begin_alone();
    if (config_.network_changed) config_.network_changed();
}

base::Result<void> PeerStack::contact(const base::Address& member) {
    const auto* known = network_.roster().find(member.id);
    if (known == nullptr || known->revoked) return base::Error{base::Errc::not_found, member.id.short_hex()};
    BASE_CHECK(network_.remember_seed(member));
    overlay_.contact(member);
    membership_->greet(member);  // so it hears where we are
    return base::ok();
}

/// Whoever speaks to us and is in none of our tables, or moved: it may know of nobody else.
void PeerStack::met(const base::Address& member) {
    const auto known = overlay_.find(member.id);
    const bool in_touch = known && known->address.endpoint == member.endpoint;
    if (in_touch || network_.roster().removed(member.id)) return;
    if (const auto saved = network_.remember_seed(member); !saved) {
        env_.log.write(base::Log::Level::warning, "daemon",
                       "cannot write down where node " + member.id.short_hex() + " is: " + saved.error().message());
    }
    overlay_.contact(member);
}

base::Task<void> PeerStack::stop() {
    tasks_.cancel();
    co_await tasks_.join();
    (void)network_.remember_seeds(seeds_now());  // the next start would find its ring without, only later
    if (membership_) co_await membership_->stop();
    membership_.reset();
    if (past_) co_await past_->stop();
    co_await location_.stop();
    co_await overlay_.stop();
    if (store_) co_await store_->close();
}

}  // namespace tools
