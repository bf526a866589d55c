import Glibc
import SimulatedKernel

guard let options = Options(CommandLine.arguments.dropFirst()) else {
    print(Options.usage)
    exit(64)
}
sim_fix_addresses(CommandLine.unsafeArgv)
exit(options.seed.map { Program.play($0, options) } ?? 64)
