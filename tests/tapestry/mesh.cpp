#include "mesh.hpp"

#include <algorithm>

#include "base/membership.hpp"

namespace tapestry::testing {

namespace {

pastry::NodeHandle handle_of(base::sim::Node& machine) { return {machine.address(), {}}; }

}  // namespace

Member::Member(Mesh& mesh, NodeIndex index, base::NodeEnv& env)
    : ring{env, handle_of(mesh.world.node(index)), mesh.options.ring},
      dolr{env, ring, mesh.identities.at(index),
           [&mesh](const base::NodeId& node) { return mesh.members.contains(node); }, mesh.options.dolr} {
    dolr.on_message([this, &mesh, index](base::Guid object, base::Address, base::SharedBytes message) {
        return [](Member& self, Mesh& to, NodeIndex at, base::Guid what, std::string text) -> base::Task<bool> {
            if (self.denies) co_return false;
            to.received.push_back({at, what, std::move(text), to.world.now()});
            co_return true;
        }(*this, mesh, index, object, std::string{base::as_text(message.view())});
    });
}

Mesh::Mesh(std::uint64_t seed, MeshOptions options_in)
    : world{seed, options_in.world}, options{std::move(options_in)} {}

NodeIndex Mesh::add(const Identity& identity) {
    base::sim::NodeOptions machine_options;
    machine_options.id = base::node_id(identity.key.public_key(), identity.salt);
    auto& machine = world.add_node(machine_options);
    identities.push_back(identity);
    members.insert(machine.id());
    machine.start(
        [this, index = machine.index()](base::NodeEnv& env) { return std::make_unique<Member>(*this, index, env); });
    return machine.index();
}

Identity Mesh::new_identity() {
    base::Key seed{};
    base::Key salt{};
    world.rng().fill(seed);
    world.rng().fill(salt);
    return {base::SigningKey{seed}, salt, world.network_id()};
}

void Mesh::build_ring(std::size_t count, std::size_t samples) {
    for (std::size_t i = 0; i < count; ++i) add(new_identity());
    std::vector<pastry::Node*> nodes;
    for (NodeIndex i = 0; i < world.size(); ++i) nodes.push_back(&ring(i));
    pastry::testing::build_directly(
        nodes,
        [this](std::size_t a, std::size_t b) {
            return 2 * world.network().latency(static_cast<NodeIndex>(a), static_cast<NodeIndex>(b));
        },
        samples);
}

void Mesh::add_directly(std::size_t count, std::size_t samples) {
    build_ring(count, samples);
    start_all(true);
}

void Mesh::come_up_together(std::size_t count) {
    build_ring(count, 16);
    start_all(false);
}

void Mesh::start_all(bool first) {
    for (NodeIndex i = 0; i < world.size(); ++i) dolr(i).start(first);
    world.run_for(2s);
}

bool Mesh::join(std::size_t count) {
    for (; count > 0; --count) {
        const auto through = world.node(random_live()).address();
        const auto index = add(new_identity());
        const auto joined = world.node(index).run(ring(index).join({through}, world.now() + 1min));
        if (!joined || !*joined) return false;
        dolr(index).start();
    }
    return true;
}

base::Task<void> Mesh::enter(NodeIndex index, base::Address through) {
    std::vector<base::Address> seeds{std::move(through)};
    const auto joined = co_await ring(index).join(std::move(seeds), world.now() + 1min);
    if (joined) dolr(index).start();
}

bool Mesh::join_together(std::size_t count, base::Duration settle) {
    const auto older = static_cast<NodeIndex>(world.size());
    while (world.size() < older + count) {
        auto through = world.node(static_cast<NodeIndex>(world.rng().below(older))).address();
        const auto index = add(new_identity());
        world.node(index).spawn(enter(index, std::move(through)));
    }
    world.run_for(settle);
    for (auto index = older; index < world.size(); ++index) {
        if (!ring(index).active()) return false;
    }
    return true;
}

std::vector<NodeIndex> Mesh::live_nodes() {
    std::vector<NodeIndex> out;
    for (NodeIndex i = 0; i < world.size(); ++i) {
        if (live(i)) out.push_back(i);
    }
    return out;
}

NodeIndex Mesh::random_live() {
    for (;;) {
        const auto index = static_cast<NodeIndex>(world.rng().below(world.size()));
        if (live(index)) return index;
    }
}

NodeIndex Mesh::root_of(const base::Guid& key) {
    const auto all = live_nodes();
    return *std::ranges::min_element(all, [&](NodeIndex a, NodeIndex b) { return base::closer(key, id(a), id(b)); });
}

base::Result<Located> Mesh::locate(NodeIndex from, const base::Guid& object, bool trace) {
    auto result = world.node(from).run(dolr(from).locate(object, world.now() + 30s, trace));
    if (!result) return base::Error{base::Errc::stopped};
    return std::move(*result);
}

base::Result<Located> Mesh::locate_others(NodeIndex from, const base::Guid& object, std::vector<base::NodeId> failed) {
    auto result = world.node(from).run(dolr(from).locate_others(object, std::move(failed), world.now() + 30s));
    if (!result) return base::Error{base::Errc::stopped};
    return std::move(*result);
}

std::vector<base::Guid> Mesh::published(NodeIndex from, std::vector<base::Guid> objects, base::Duration within) {
    auto missing = world.node(from).run(dolr(from).published(objects, world.now() + within));
    return missing ? std::move(*missing) : objects;
}

base::Result<unsigned> Mesh::send(NodeIndex from, const base::Guid& object, const std::string& text,
                                  unsigned replicas) {
    base::SharedBytes message{base::to_bytes(text)};
    auto result = world.node(from).run(dolr(from).send_to_object(object, message, replicas, world.now() + 30s));
    if (!result) return base::Error{base::Errc::stopped};
    return *result;
}

Identity identity_of(const base::Guid& network, std::string_view digits) {
    const base::SigningKey key{base::Key{7}};
    const auto wanted = *base::Guid::from_prefix(digits);
    base::Key salt{};
    for (std::uint32_t n = 0;; ++n) {
        for (std::size_t i = 0; i < 4; ++i) salt[i] = static_cast<std::uint8_t>(n >> (8 * i));
        if (base::node_id(key.public_key(), salt).common_prefix(wanted) >= digits.size()) return {key, salt, network};
    }
}

}  // namespace tapestry::testing
