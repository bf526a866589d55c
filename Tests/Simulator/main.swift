import Glibc
import SimulatedKernel

guard let options = Options(CommandLine.arguments.dropFirst()) else {
    print(Options.usage)
    exit(64)
}
if options.seconds != nil || options.kept != nil { exit(Series.play(options)) }
guard let seed = options.seed else {
    print(Options.usage)
    exit(64)
}
if options.shrinks { exit(Series.shrink(options)) }
sim_fix_addresses(CommandLine.unsafeArgv)
exit(Program.playApart(seed, options))
