#include "pastry/alone.hpp"

#include <utility>

namespace pastry {

Alone::Alone(base::NodeEnv env, NodeHandle self)
    : env_{env}, self_{std::move(self)}, alive_{std::make_shared<Alone*>(this)} {}

Alone::~Alone() = default;

void Alone::attach(base::Service service, Application* application) {
    if (application == nullptr) {
        applications_.erase(service);
    } else {
        applications_[service] = application;
    }
}

void Alone::route(const base::Guid& key, base::Message message, std::optional<NodeHandle> /*hint*/) {
    env_.clock.schedule(env_.clock.now(), [weak = std::weak_ptr{alive_}, key, message = std::move(message)]() mutable {
        if (const auto alive = weak.lock()) (*alive)->deliver(key, std::move(message));
    });
}

void Alone::deliver(const base::Guid& key, base::Message message) {
    const auto found = applications_.find(message.service());
    if (found != applications_.end()) found->second->deliver(key, self_, std::move(message), 0);
}

std::vector<NextHop> Alone::next_hops(const base::Guid& /*key*/, std::size_t count) const {
    if (count == 0) return {};
    return {{self_, {}}};
}

std::vector<NodeHandle> Alone::replica_set(const base::Guid& /*key*/, std::size_t count) const {
    if (count == 0) return {};
    return {self_};
}

base::Task<base::Result<std::vector<NodeHandle>>> Alone::find_replica_set(base::Guid key, std::size_t count,
                                                                          base::TimePoint /*deadline*/) {
    co_return replica_set(key, count);
}

}  // namespace pastry
